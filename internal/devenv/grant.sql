-- Everything that a seed made, and will make, belongs to the application too:
-- what is let through is sallyport's to decide here, not the privileges'.
DO $$
DECLARE
    schema text;
BEGIN
    FOR schema IN
        SELECT quote_ident(nspname) FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'
    LOOP
        EXECUTE format('GRANT ALL ON SCHEMA %s TO sallyport_app', schema);
        EXECUTE format('GRANT ALL ON ALL TABLES IN SCHEMA %s TO sallyport_app', schema);
        EXECUTE format('GRANT ALL ON ALL SEQUENCES IN SCHEMA %s TO sallyport_app', schema);
        EXECUTE format('GRANT ALL ON ALL ROUTINES IN SCHEMA %s TO sallyport_app', schema);
    END LOOP;
END
$$;
ALTER DEFAULT PRIVILEGES GRANT ALL ON SCHEMAS TO sallyport_app;
ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO sallyport_app;
ALTER DEFAULT PRIVILEGES GRANT ALL ON SEQUENCES TO sallyport_app;
ALTER DEFAULT PRIVILEGES GRANT ALL ON ROUTINES TO sallyport_app;
