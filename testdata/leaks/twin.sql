-- Makes the twin: masked columns hold what the masks make of them, written here once
-- more, apart from the product.
SET session_replication_role = replica; -- no trigger notices
ALTER TABLE shop.customers ALTER COLUMN domain DROP EXPRESSION;
UPDATE shop.customers SET
    email = left(email, 1) || '***@' || split_part(email, '@', 2),
    phone = repeat('*', length(phone) - 4) || right(phone, 4),
    ssn = CASE WHEN ssn IS NOT NULL THEN '[redacted]' END,
    nick = substr(encode(digest('s4lt' || nick::text, 'sha256'), 'hex'), 1, 16),
    birth = make_date(extract(year FROM birth)::int, 1, 1),
    credit_limit = round(credit_limit / 1000) * 1000,
    loyalty = round(loyalty / 100.0) * 100,
    visits = NULL,
    score = floor(score),
    last_seen = make_timestamptz(2024, extract(month FROM last_seen AT TIME ZONE 'UTC')::int, 1, 0, 0, 0, 'UTC'),
    tier = NULL, contact = NULL, address = NULL, tags = NULL, prefs = NULL, avatar = NULL,
    token = CASE WHEN token IS NOT NULL THEN '00000000-0000-0000-0000-000000000000'::uuid END,
    last_ip = NULL,
    password_hash = CASE WHEN password_hash IS NOT NULL THEN 'x' END,
    domain = NULL;
UPDATE shop.products SET cost = NULL;
UPDATE shop.orders SET note = CASE WHEN note IS NOT NULL THEN '[redacted]' END;
UPDATE shop.payments SET card = repeat('*', length(card) - 4) || right(card, 4), holder = left(holder, 1) || repeat('*', length(holder) - 1);
UPDATE shop.cards SET number = repeat('*', 12) || right(number, 4);
UPDATE shop.card_uses SET number = repeat('*', 12) || right(number, 4);
ALTER TABLE shop.bookings ALTER COLUMN during DROP NOT NULL;
UPDATE shop.bookings SET during = NULL, guest = '[redacted]';
UPDATE shop.documents SET search = NULL, body = '[redacted]';
UPDATE shop.jobs SET payload = '[redacted]';
UPDATE crm.contacts SET work_email = left(work_email::text, 1) || '***@' || split_part(work_email::text, '@', 2),
    notes = CASE WHEN notes IS NOT NULL THEN '-' END, rating = NULL;
UPDATE crm.subscribers SET email = left(email, 1) || '***@' || split_part(email, '@', 2);
UPDATE crm.people SET secret = '[redacted]', badge = left(badge, 1) || repeat('*', length(badge) - 1);
REFRESH MATERIALIZED VIEW shop.customer_cache;
