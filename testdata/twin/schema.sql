-- The database that random statements are asked of (proxy/twin_test.go). It is made
-- three times: with the secrets of variant a, with those of variant b, and as the twin,
-- in which triggers of twin.sql put the masks' values into the masked columns.
CREATE SCHEMA app;
CREATE SCHEMA other;
CREATE SCHEMA "Odd Schema";
CREATE TYPE app.mood AS ENUM ('sad', 'ok', 'happy');
CREATE DOMAIN app.label AS text;

CREATE TABLE app.customers (
    id integer PRIMARY KEY,
    name text NOT NULL,
    email character varying(40),
    phone character(12),
    ssn text,
    points integer,
    balance numeric(10,2),
    born date,
    seen timestamp with time zone,
    vip boolean,
    tags text[],
    prefs jsonb,
    mood app.mood,
    ref uuid,
    boss integer REFERENCES app.customers (id),
    nick text COLLATE "C",
    label app.label
);
CREATE TABLE app.orders (
    id bigint PRIMARY KEY,
    customer_id integer NOT NULL REFERENCES app.customers (id),
    email text,
    total numeric(12,2) NOT NULL DEFAULT 0,
    placed date,
    note text,
    details jsonb
);
CREATE TABLE app.order_lines (
    order_id bigint REFERENCES app.orders (id),
    line integer,
    sku text,
    qty integer CHECK (qty > 0),
    price numeric(8,2),
    PRIMARY KEY (order_id, line)
);
CREATE TABLE app.products (sku text PRIMARY KEY, title text, price numeric(8,2), stock integer, tags text[]);
CREATE TABLE app.events (id integer, at date NOT NULL, kind text, secret text, amount integer, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
CREATE TABLE app.events_2023 PARTITION OF app.events FOR VALUES FROM ('2023-01-01') TO ('2024-01-01');
CREATE TABLE app.events_2024 PARTITION OF app.events DEFAULT;
CREATE TABLE app.people (id integer PRIMARY KEY, name text, secret text);
CREATE TABLE app.staff (room text, pay integer) INHERITS (app.people);
CREATE TABLE app.visits (id integer, who text, at date); -- no key: it is only read
CREATE TABLE other.customers (id integer PRIMARY KEY, email text, region text);
CREATE TABLE "Odd Schema"."Odd Table" ("Id" integer PRIMARY KEY, "select" text, "naïve Col" text);

CREATE VIEW app.contacts AS SELECT id, name, email, phone AS tel FROM app.customers;
CREATE VIEW app.vips AS SELECT id, name, email, balance FROM app.customers WHERE vip;
CREATE VIEW app.nested AS SELECT c.id, c.email AS mail, v.balance FROM app.contacts c LEFT JOIN app.vips v USING (id);
CREATE VIEW app.customer_orders AS SELECT o.id, c.name, c.email, o.total, o.note FROM app.customers c JOIN app.orders o ON o.customer_id = c.id;
CREATE VIEW app.order_totals AS SELECT customer_id, sum(total) AS total, count(*) AS orders FROM app.orders GROUP BY customer_id;
CREATE MATERIALIZED VIEW app.snapshot AS SELECT id, name, email FROM app.customers;
