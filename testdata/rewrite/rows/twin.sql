ALTER TABLE app.orders DROP CONSTRAINT orders_customer_id_fkey;
DELETE FROM app.customers WHERE (active = true OR mood = 'happy') IS NOT TRUE;
DELETE FROM app.orders WHERE total < 20 OR id = 11;
DELETE FROM app.events WHERE id = 3;
DELETE FROM app.people WHERE name = 'Sam';
DELETE FROM app.leads WHERE (email LIKE 'a%') IS NOT TRUE;
DELETE FROM "Weird Schema"."Odd ""T" WHERE "Id" = 2;
UPDATE app.customers SET ssn = '[redacted]' WHERE ssn IS NOT NULL;
UPDATE app.orders SET email = NULL;
