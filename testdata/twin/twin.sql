-- Makes the twin: whatever is written to a masked column becomes its mask's value.
CREATE SCHEMA masks;
CREATE FUNCTION masks.email(x text) RETURNS text LANGUAGE sql IMMUTABLE AS
    $$SELECT CASE WHEN x ~ '^.+@[^@]+$' THEN regexp_replace(x, '^(.).*(@[^@]*)$', '\1***\2') WHEN x IS NOT NULL THEN '***' END$$;
CREATE FUNCTION masks.ends(x text, first int, last int) RETURNS text LANGUAGE sql IMMUTABLE AS
    $$SELECT CASE WHEN length(x) <= first + last THEN repeat('*', length(x))
        ELSE left(x, first) || repeat('*', length(x) - first - last) || right(x, last) END$$;

-- mask(table, column, expression over NEW) has it done by a trigger.
CREATE FUNCTION masks.mask(t regclass, c text, value text) RETURNS void LANGUAGE plpgsql AS $do$
DECLARE f text := format('masks.%I', 'set_' || c || '_' || replace(replace(t::text, '.', '_'), '"', ''));
BEGIN
    EXECUTE format($f$CREATE FUNCTION %s() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS
        $body$BEGIN NEW.%I := CASE WHEN NEW.%I IS NOT NULL THEN %s END; RETURN NEW; END$body$ $f$, f, c, c, value);
    EXECUTE format('CREATE TRIGGER %I BEFORE INSERT OR UPDATE OF %I ON %s FOR EACH ROW EXECUTE FUNCTION %s()', 'mask_' || c, c, t, f);
END $do$;

SELECT masks.mask('app.customers', 'email', 'masks.email(NEW.email)'), masks.mask('app.customers', 'phone', 'masks.ends(NEW.phone::text, 0, 3)'),
    masks.mask('app.customers', 'ssn', '''[redacted]'''), masks.mask('app.customers', 'points', 'round(NEW.points::numeric, -1)'),
    masks.mask('app.customers', 'balance', 'trunc(NEW.balance, 0)'), masks.mask('app.customers', 'born', 'date_trunc(''year'', NEW.born::timestamp)'),
    masks.mask('app.customers', 'seen', 'date_trunc(''month'', NEW.seen, ''UTC'')'), masks.mask('app.customers', 'tags', 'NULL'),
    masks.mask('app.customers', 'prefs', 'NULL'), masks.mask('app.customers', 'ref', '''00000000-0000-0000-0000-000000000000'''),
    masks.mask('app.customers', 'label', 'NULL'),
    masks.mask('app.orders', 'email', '''[redacted]'''), masks.mask('app.orders', 'note', 'masks.ends(NEW.note, 2, 0)'),
    -- What is hashed once more is another hash: such a column must not be written from itself.
    masks.mask('app.visits', 'who', 'left(encode(sha256(convert_to(''salt'' || NEW.who, ''UTF8'')), ''hex''), 12)'),
    masks.mask('app.events', 'secret', '''[redacted]'''), masks.mask('app.events', 'amount', 'round(NEW.amount::numeric, -1)'),
    masks.mask('app.people', 'secret', 'masks.ends(NEW.secret, 1, 0)'), masks.mask('app.staff', 'secret', 'masks.ends(NEW.secret, 1, 0)'),
    masks.mask('app.staff', 'pay', 'NULL'), masks.mask('"Odd Schema"."Odd Table"', 'naïve Col', '''[redacted]''');
