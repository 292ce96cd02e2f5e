ALTER DOMAIN app.email_address DROP NOT NULL;
UPDATE app.customers SET
    email = CASE id WHEN 1 THEN 'a***@example.com' WHEN 2 THEN 'b***@long-domain.example' WHEN 3 THEN '***' WHEN 5 THEN 'e***@x.io' END,
    phone = CASE id WHEN 1 THEN '••••••00' WHEN 3 THEN '••••••33' WHEN 4 THEN '••' WHEN 5 THEN '••••••00' END,
    ssn = CASE WHEN ssn IS NOT NULL THEN '[redacted]' END,
    nick = left(encode(sha256(convert_to('pe\pp''er' || nick, 'UTF8')), 'hex'), 12),
    handle = CASE id WHEN 1 THEN 'a****' WHEN 2 THEN 'b**' WHEN 3 THEN 'c**' WHEN 4 THEN '' WHEN 5 THEN 'e****' END,
    prefs = NULL, tags = NULL, mood = NULL, label = NULL, address = NULL, flags = NULL, span = NULL;
UPDATE app.events SET secret = '[redacted]' WHERE secret IS NOT NULL;
-- The mask of a child holds for its parent too.
UPDATE app.people SET secret = left(secret, 1) || '*******';
UPDATE "Weird Schema"."Odd ""T" SET "naïve Col" = left("naïve Col", 2) || '**';
REFRESH MATERIALIZED VIEW app.snapshot;
ALTER TABLE app.leads ALTER COLUMN domain DROP EXPRESSION;
UPDATE app.leads SET domain = NULL, email = CASE WHEN email IS NOT NULL THEN '[redacted]' END;
DROP TRIGGER docs_tsv ON app.docs;
UPDATE app.docs SET tsv = NULL, body = CASE WHEN body IS NOT NULL THEN '[redacted]' END;
