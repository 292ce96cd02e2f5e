CREATE TABLE items (id int PRIMARY KEY, name text NOT NULL, price numeric(10,2), made timestamptz, data bytea);
CREATE TABLE log (id serial PRIMARY KEY, note text);
CREATE TABLE secrets (id int PRIMARY KEY, word text);
CREATE TABLE limited (id int);
CREATE SCHEMA other;
CREATE TABLE other.items (id int, other text);
CREATE FUNCTION shout(text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RAISE NOTICE 'hear: %', $1 USING HINT = 'listen'; RETURN upper($1); END $$;
CREATE FUNCTION fails(text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'failed: %', $1 USING ERRCODE = 'P0009', DETAIL = 'a detail', HINT = 'a hint'; END $$;
