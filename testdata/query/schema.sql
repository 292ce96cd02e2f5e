-- The database the cases of this directory are analysed against.
CREATE SCHEMA app;
CREATE SCHEMA hr;
CREATE SCHEMA ext;
CREATE SCHEMA "Odd Schema";

CREATE TYPE app.mood AS ENUM ('sad', 'ok', 'happy');
CREATE TYPE app.address AS (street text, city text);
CREATE DOMAIN app.plain_domain AS text;
CREATE DOMAIN app.checked_domain AS text CHECK (length(VALUE) < 100);

CREATE TABLE app.customers (
	id int PRIMARY KEY,
	name text NOT NULL,
	email text,
	plan varchar(20),
	home app.address,
	tags text[],
	prefs jsonb,
	mood app.mood,
	created timestamptz DEFAULT now()
);
CREATE TABLE app.orders (
	id int PRIMARY KEY,
	customer_id int REFERENCES app.customers,
	total numeric(10, 2),
	note text,
	placed date
);
CREATE TABLE app.order_lines (order_id int, line int, sku text, qty int, price numeric, PRIMARY KEY (order_id, line));
CREATE TABLE hr.salaries (employee text PRIMARY KEY, amount numeric, manager text);
CREATE TABLE app."select" ("from" int, "Weird Name" text);
CREATE TABLE "Odd Schema"."Odd Table" (x int);
CREATE TABLE public.customers (id int, public_note text);
CREATE SEQUENCE app.counter;

CREATE TABLE app.events (id bigint, day date NOT NULL, email text, payload jsonb) PARTITION BY RANGE (day);
CREATE TABLE app.events_2025 PARTITION OF app.events FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
CREATE TABLE app.base (a int, secret text);
CREATE TABLE app.child (b int) INHERITS (app.base);

CREATE VIEW app.contacts AS SELECT id, name, email FROM app.customers;
CREATE VIEW app.active AS SELECT c.id, c.name AS who, lower(c.email) AS mail FROM app.customers c WHERE c.plan <> 'none';
CREATE VIEW app.nested AS SELECT who, mail || '!' AS loud FROM app.active;
CREATE VIEW app.totals AS SELECT customer_id, sum(total) AS total FROM app.orders GROUP BY customer_id;
CREATE VIEW app.star AS SELECT * FROM app.orders;
CREATE VIEW app.unions AS SELECT email AS contact FROM app.customers UNION ALL SELECT manager FROM hr.salaries;
CREATE VIEW app.cte_view AS WITH RECURSIVE r(n, who) AS (
	SELECT 1, name FROM app.customers UNION ALL SELECT n + 1, who FROM r WHERE n < 3) SELECT who FROM r;
CREATE VIEW app.event_mails AS SELECT id, email FROM app.events_2025;
CREATE MATERIALIZED VIEW app.mat AS SELECT id, email FROM app.customers WHERE name <> '';
CREATE VIEW app.exists_view AS SELECT id FROM app.orders o WHERE EXISTS (SELECT email FROM app.customers c WHERE c.id = o.customer_id);

CREATE FUNCTION app.shout(text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT upper($1)';
CREATE FUNCTION app.sneak() RETURNS text LANGUAGE plpgsql SECURITY DEFINER AS 'BEGIN RETURN 1; END';
CREATE FUNCTION app.over(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 1';
CREATE FUNCTION app.over(text) RETURNS int LANGUAGE plpgsql VOLATILE SECURITY DEFINER AS 'BEGIN RETURN 1; END';
CREATE FUNCTION app.pairs(n int, OUT a int, OUT b text) RETURNS SETOF record LANGUAGE sql STABLE AS 'SELECT 1, ''x''';
CREATE FUNCTION app.rows_of() RETURNS SETOF app.orders LANGUAGE sql STABLE AS 'SELECT * FROM app.orders';
CREATE FUNCTION app.any_record() RETURNS SETOF record LANGUAGE sql STABLE AS 'SELECT 1, 2';
CREATE FUNCTION app.label(app.customers) RETURNS text LANGUAGE sql STABLE AS 'SELECT $1.name';
CREATE FUNCTION app.with_defaults(a int, b int DEFAULT 1, c int DEFAULT 2) RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION app.many(VARIADIC ints int[]) RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE PROCEDURE app.do_it(int) LANGUAGE sql AS 'SELECT 1';
CREATE AGGREGATE app.first_of(text) (SFUNC = textcat, STYPE = text);
CREATE OPERATOR app.### (LEFTARG = text, RIGHTARG = text, FUNCTION = textcat);
CREATE FUNCTION app.eq_mood(app.mood, text) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT true';
CREATE OPERATOR app.= (LEFTARG = app.mood, RIGHTARG = text, FUNCTION = app.eq_mood);
CREATE TYPE ext.money_pair AS (amount numeric, unit text);
CREATE FUNCTION ext.to_pair(text) RETURNS ext.money_pair LANGUAGE sql IMMUTABLE AS 'SELECT NULL::ext.money_pair';
CREATE CAST (text AS ext.money_pair) WITH FUNCTION ext.to_pair(text);

-- Tables that share rows, by two parents, and what a trigger of PostgreSQL's own copies.
CREATE SCHEMA tree;
CREATE TABLE tree.top (id int, pub text);
CREATE TABLE tree.side (pub text);
CREATE TABLE tree.kid (hidden text, loud text GENERATED ALWAYS AS (upper(hidden)) STORED) INHERITS (tree.top, tree.side);
CREATE TABLE tree.notes (id int PRIMARY KEY, email text, phone text, tsv tsvector);
CREATE TRIGGER index_notes BEFORE INSERT OR UPDATE ON tree.notes FOR EACH ROW
	EXECUTE FUNCTION tsvector_update_trigger(tsv, 'pg_catalog.simple', email, phone);
CREATE TABLE tree.domains (plain app.plain_domain, many app.plain_domain[], other text);
CREATE TABLE tree.rows (x tree.domains);

-- Functions in SQL that can be seen through, and some that cannot.
CREATE SCHEMA fn;
SET check_function_bodies = off;
CREATE FUNCTION fn.mail_of(int) RETURNS text LANGUAGE sql STABLE AS 'SELECT email FROM app.customers WHERE id = $1';
CREATE FUNCTION fn.mail_named(who int) RETURNS text LANGUAGE sql AS 'SELECT c.email FROM customers c WHERE c.id = who AND mail_named.who > 0';
CREATE FUNCTION fn.count_all() RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM app.customers';
CREATE FUNCTION fn.nested(n int) RETURNS text LANGUAGE sql STABLE AS 'SELECT upper(fn.mail_of(n)) || app.shout(''!'')';
CREATE FUNCTION fn.over_view() RETURNS SETOF text LANGUAGE sql STABLE AS 'SELECT mail FROM app.active WHERE who <> ''''';
CREATE FUNCTION fn.rows_of_customers(pattern text) RETURNS SETOF app.customers LANGUAGE sql STABLE AS 'SELECT * FROM app.customers WHERE name LIKE pattern';
CREATE FUNCTION fn.one_customer(int) RETURNS app.customers LANGUAGE sql STABLE AS 'SELECT c FROM app.customers c WHERE id = $1';
CREATE FUNCTION fn.standard(x int) RETURNS text LANGUAGE sql STABLE BEGIN ATOMIC SELECT name FROM app.customers WHERE id = x AND standard.x > 1; END;
CREATE FUNCTION fn.standard_return(t text) RETURNS text LANGUAGE sql IMMUTABLE RETURN upper(t) || '!';
CREATE FUNCTION fn.defaulted(a int DEFAULT length(app.sneak())) RETURNS int LANGUAGE sql AS 'SELECT a + 1';
CREATE FUNCTION fn.whole(c app.customers) RETURNS text LANGUAGE sql STABLE AS 'SELECT (c).name || c.email';
CREATE FUNCTION fn.by_field(app.customers) RETURNS text LANGUAGE sql STABLE AS 'SELECT $1.name';
CREATE FUNCTION fn.twice(numeric) RETURNS numeric LANGUAGE sql IMMUTABLE AS 'SELECT $1 * 2';
CREATE FUNCTION fn.definer() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1';
CREATE FUNCTION fn.configured() RETURNS int LANGUAGE sql SET search_path = hr AS 'SELECT 1';
CREATE FUNCTION fn.two_statements() RETURNS int LANGUAGE sql AS 'SELECT 1; SELECT 2';
CREATE FUNCTION fn.writes() RETURNS int LANGUAGE sql AS 'WITH d AS (DELETE FROM app.orders RETURNING id) SELECT id FROM d';
CREATE FUNCTION fn.locks() RETURNS int LANGUAGE sql AS 'SELECT id FROM app.orders FOR UPDATE';
CREATE FUNCTION fn.broken() RETURNS int LANGUAGE sql AS 'SELECT nosuch FROM app.orders';
CREATE FUNCTION fn.itself(int) RETURNS int LANGUAGE sql AS 'SELECT fn.itself($1 - 1)';
CREATE FUNCTION fn.plpgsql_one() RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN 1; END';
CREATE VIEW fn.calling_view AS SELECT fn.mail_of(id) AS who FROM app.orders;
CREATE FUNCTION fn.poly(anyelement) RETURNS anyelement LANGUAGE sql IMMUTABLE AS 'SELECT COALESCE($1, $1)';
CREATE FUNCTION fn.reads_file() RETURNS text LANGUAGE sql AS 'SELECT pg_read_file(''x'')';
CREATE FUNCTION fn.part(text) RETURNS text LANGUAGE sql STABLE AS 'SELECT email FROM app.events WHERE payload IS NOT NULL';
