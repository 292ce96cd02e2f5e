DELETE FROM hidden; DELETE FROM other.hidden; DELETE FROM items; DELETE FROM log; DELETE FROM secrets; DELETE FROM limited; DELETE FROM other.items;
SELECT setval('log_id_seq', 1, false);
INSERT INTO items VALUES (1, 'anvil', 10.50, '2024-01-01 00:00:00+00', '\x00ff'), (2, 'rope', 3.25, NULL, NULL), (3, 'dynamite', NULL, '2024-02-02 12:00:00+00', '\xdeadbeef');
INSERT INTO secrets VALUES (1, 'hush');
INSERT INTO limited SELECT generate_series(1, 5);
INSERT INTO other.items VALUES (9, 'elsewhere');
INSERT INTO hidden VALUES (1, 'public');
INSERT INTO other.hidden VALUES (2, 'denied');
