ALTER TABLE app.customers ALTER name DROP NOT NULL;
UPDATE app.customers SET name = NULL;
UPDATE app.orders SET email = left(encode(sha256(convert_to(email, 'UTF8')), 'hex'), 8);
UPDATE app.people SET secret = '[redacted]';
CREATE OR REPLACE VIEW app.contacts AS SELECT id, name, email, upper(ssn) AS loud, CAST(CASE WHEN phone IS NOT NULL THEN '[redacted]' END AS char(14)) AS tel FROM app.customers;
DROP MATERIALIZED VIEW app.snapshot;
CREATE MATERIALIZED VIEW app.snapshot AS SELECT id, name, NULL::varchar(24) AS email FROM app.customers;
UPDATE app.events SET secret = '[redacted]' WHERE secret IS NOT NULL;
