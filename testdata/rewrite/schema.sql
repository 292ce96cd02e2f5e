-- The database of the rewrite cases. Each set of masks has a twin of it, in which its
-- twin.sql has overwritten the masked columns.
CREATE SCHEMA app;
CREATE SCHEMA other;
CREATE SCHEMA "Weird Schema";
CREATE TYPE app.mood AS ENUM ('sad', 'ok', 'happy');
CREATE DOMAIN app.label AS text;
CREATE DOMAIN app.email_address AS text NOT NULL CHECK (VALUE LIKE '%@%');

CREATE TABLE app.customers (
    id integer PRIMARY KEY,
    name text NOT NULL,
    email character varying(24),
    phone character(14),
    ssn text,
    nick text COLLATE "C",
    handle name,
    balance numeric(8,2),
    points smallint,
    visits bigint,
    score double precision,
    weight real,
    ratio numeric,
    born date,
    created timestamp with time zone,
    seen timestamp(0) without time zone,
    active boolean,
    ref uuid,
    tags text[],
    prefs jsonb,
    mood app.mood,
    label app.label,
    address app.email_address,
    flags bit(4),
    span interval(0)
);
CREATE INDEX ON app.customers (name);
INSERT INTO app.customers VALUES
    (1, 'Ada', 'ada@example.com', '555-0100', '078-05-1120', 'ada', 'ada_l', 1234.56, 32767, 9223372036854775807, 1234.5678, 12.5, 3.14159,
        '1815-12-10', '2024-03-05 10:11:12.5+00', '2024-03-05 10:11:12', true, '6b1f3a2e-0000-4000-8000-000000000001', '{a,b}', '{"k": 1}', 'happy', 'vip', 'ada@home', B'1010', '1 day'),
    (2, 'Bob', 'b@long-domain.example.or', NULL, '219-09-9999', 'Bob', 'bob', 999999.99, -32768, -9223372036854775808, 'Infinity', 'NaN', -2.71828,
        '1999-12-31', '2023-12-31 23:59:59+00', '2023-12-31 23:59:59', false, '6b1f3a2e-0000-4000-8000-000000000002', '{}', '{}', 'sad', NULL, 'bob@home', B'0000', '1 month 2 days'),
    (3, 'Cyd', 'not an address', '555-0133', NULL, 'éclair', 'cyd', -0.05, 0, 1, 1e305, 1e35, 'NaN',
        'infinity', '-infinity', 'infinity', NULL, NULL, NULL, NULL, NULL, 'vip', 'cyd@home', NULL, NULL),
    (4, 'Dan', NULL, '12', '', 'ada', '', NULL, NULL, NULL, NULL, NULL, NULL,
        NULL, NULL, NULL, true, NULL, '{x}', 'null', 'ok', 'std', 'dan@home', B'1111', '0'),
    (5, 'Eve', 'e@x.io', '555-0100', '078-05-1120', NULL, 'eve\x', 0, 45, 1000000, -1e-300, 1e-30, 0.5,
        '0001-01-01 BC', '2024-03-05 00:00:00+00', '2024-02-29 12:00:00', false, '6b1f3a2e-0000-4000-8000-000000000001', NULL, '[1]', 'happy', 'std', 'eve@home', B'0101', '3 years');

CREATE TABLE app.orders (
    id integer PRIMARY KEY,
    customer_id integer NOT NULL REFERENCES app.customers (id),
    email varchar(24),
    total numeric(10,2) NOT NULL,
    placed date NOT NULL
);
CREATE INDEX ON app.orders (customer_id);
INSERT INTO app.orders VALUES
    (10, 1, 'ada@example.com', 20.00, '2024-01-02'), (11, 1, 'ada@work.example', 35.50, '2024-02-03'),
    (12, 2, 'bob@long-domain.example.', 5.00, '2024-02-04'), (13, 5, 'e@x.io', 100.00, '2024-03-01'), (14, 5, NULL, 7.25, '2024-03-02');

CREATE TABLE other.customers (id integer PRIMARY KEY, email text, region text);
INSERT INTO other.customers VALUES (1, 'public@example.com', 'north'), (2, 'open@example.com', 'south');

-- Partitions and inheritance.
CREATE TABLE app.events (id integer, kind text, secret text, at date NOT NULL) PARTITION BY RANGE (at);
CREATE TABLE app.events_2023 PARTITION OF app.events FOR VALUES FROM ('2023-01-01') TO ('2024-01-01');
CREATE TABLE app.events_2024 PARTITION OF app.events FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
INSERT INTO app.events VALUES (1, 'login', 's1', '2023-05-05'), (2, 'login', 's2', '2024-05-05'), (3, 'pay', NULL, '2024-06-06');
CREATE TABLE app.people (id integer, name text, secret text);
CREATE TABLE app.staff (room text) INHERITS (app.people);
INSERT INTO app.people VALUES (1, 'Pia', 'p-secret');
INSERT INTO app.staff VALUES (2, 'Sam', 's-secret', 'R1');

-- Names that need quotes.
CREATE TABLE "Weird Schema"."Odd ""T" ("Id" integer PRIMARY KEY, "select" text, "naïve Col" text);
INSERT INTO "Weird Schema"."Odd ""T" VALUES (1, 'one', 'eins'), (2, 'two', 'zwei');

-- A function that goes by the name of a table.
CREATE FUNCTION other.orders() RETURNS TABLE (id integer) LANGUAGE sql IMMUTABLE AS 'SELECT 7';

-- Views.
CREATE VIEW app.contacts AS SELECT id, name, email, upper(ssn) AS loud, phone AS tel FROM app.customers;
CREATE VIEW app.contacts2 AS SELECT c.id, c.email AS mail, c.tel FROM app.contacts c;
CREATE VIEW app.by_email AS SELECT id, name FROM app.customers WHERE email LIKE '%@%';
CREATE VIEW app.nicks AS SELECT DISTINCT nick FROM app.customers;
CREATE VIEW app.plain AS SELECT id, name FROM app.customers;
CREATE MATERIALIZED VIEW app.snapshot AS SELECT id, name, email FROM app.customers;

-- A generated column tells what it is made of.
CREATE TABLE app.leads (
    id integer PRIMARY KEY,
    email text,
    domain text GENERATED ALWAYS AS (split_part(email, '@', 2)) STORED,
    city text
);
INSERT INTO app.leads (id, email, city) VALUES (1, 'ada@example.com', 'London'), (2, NULL, 'Paris'), (3, 'eve@x.io', 'Oslo');
CREATE VIEW app.lead_domains AS SELECT id, domain FROM app.leads;

-- What a trigger of PostgreSQL's own keeps tells what it is made of.
CREATE TABLE app.docs (id integer PRIMARY KEY, title text, body text, tsv tsvector);
CREATE TRIGGER docs_tsv BEFORE INSERT OR UPDATE ON app.docs FOR EACH ROW
    EXECUTE FUNCTION tsvector_update_trigger(tsv, 'pg_catalog.simple', title, body);
INSERT INTO app.docs VALUES (1, 'one', 'hidden words'), (2, 'two', NULL);

-- Its rows depend on a masked column.
CREATE VIEW app.chosen_leads AS SELECT id, city FROM app.leads WHERE email LIKE 'a%';

-- Views of every make, which are seen through.
CREATE VIEW app.renamed AS SELECT id AS a, email AS b, 'const' AS c, NULL AS d FROM app.customers;
ALTER VIEW app.renamed RENAME COLUMN b TO "The Mail";
CREATE VIEW app.spending AS SELECT c.id, c.email, c.phone, count(o.id) AS orders, sum(o.total) AS total
    FROM app.customers c LEFT JOIN app.orders o ON o.customer_id = c.id GROUP BY c.id;
CREATE VIEW app.shared_mail AS SELECT c.id, o.id AS order_id, email FROM app.customers c JOIN app.orders o USING (email);
CREATE VIEW app.masses AS SELECT count(*) AS n, max(email) AS last, string_agg(nick, ',' ORDER BY nick) AS nicks FROM app.customers;
CREATE VIEW app.ranked AS SELECT id, row_number() OVER (ORDER BY email NULLS LAST, id) AS place, lag(ssn) OVER (ORDER BY id) AS before FROM app.customers;
CREATE VIEW app.mails AS SELECT email, id FROM app.customers UNION SELECT email, customer_id FROM app.orders WHERE total > 5 ORDER BY 2 LIMIT 6;
CREATE VIEW app.chain AS WITH RECURSIVE r AS (SELECT id, email::text AS email, 1 AS depth FROM app.customers WHERE id = 1
    UNION ALL SELECT c.id, r.email || c.email::text, depth + 1 FROM r JOIN app.customers c ON c.id = r.id + 1 WHERE depth < 3) SELECT * FROM r;
CREATE VIEW app.odd_cases AS SELECT id, CASE nick WHEN 'ada' THEN 'A' ELSE left(nick, 2) END AS short, NULLIF(ssn, '') AS ssn,
    email IS DISTINCT FROM name AS differs, greatest(email, nick) AS most, extract(year FROM born) AS year, ARRAY[email::text, ssn] AS both,
    (SELECT max(o.email) FROM app.orders o WHERE o.customer_id = c.id) AS work, -visits AS minus, to_tsvector('english', coalesce(ssn, '')) AS words,
    E'back\\slash' AS back, '2024-01-02'::date AS day, interval '1 day 2 hours' AS span, nick COLLATE "C" < 'b' AS early, active AND email LIKE 'a%' AS ok
    FROM app.customers c WHERE email IN (SELECT o.email FROM app.orders o) OR phone = ANY (ARRAY['12']) OR EXISTS (SELECT 1 FROM app.orders o WHERE o.email = c.email) OR id = 3;
CREATE VIEW app.guarded WITH (security_barrier) AS SELECT id, email, name FROM app.customers WHERE nick IS NOT NULL;
CREATE VIEW app.invoked WITH (security_invoker) AS SELECT id, email FROM app.contacts WHERE loud <> '';
CREATE VIEW app.first_mail AS SELECT DISTINCT ON (o.customer_id) o.customer_id, l.email, l.n FROM app.orders o,
    LATERAL (SELECT c.email, row_number() OVER () AS n FROM app.customers c WHERE c.id = o.customer_id) l ORDER BY o.customer_id, o.id;
CREATE VIEW app.all_events AS SELECT e.id, e.secret, p.secret AS other FROM app.events e FULL JOIN app.people p ON p.secret = e.secret;
CREATE VIEW app.many AS SELECT id, generate_series(1, length(email)) AS g FROM app.customers;
CREATE VIEW app.of_snapshot AS SELECT id, email FROM app.snapshot WHERE id < 3;

-- Functions in SQL: what they read is read.
CREATE FUNCTION app.mail_of(integer) RETURNS text LANGUAGE sql STABLE AS 'SELECT email FROM app.customers WHERE id = $1';
CREATE FUNCTION app.how_many() RETURNS bigint LANGUAGE sql STABLE AS 'SELECT count(*) FROM app.customers';
CREATE FUNCTION app.louder(t text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT upper(t) || ''!''';
