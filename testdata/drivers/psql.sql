\set VERBOSITY verbose
\pset pager off
\dn
\dt
\d items
\d log
\d+ other.items
\df shout
\di
\ds
\dp items
\l template0
SELECT id, name FROM items ORDER BY id;
SELECT 1 AS one\; SELECT 2 AS two;
SELECT id FROM items ORDER BY id \gx
\copy log (note) FROM 'testdata/drivers/notes.csv' (FORMAT csv)
\copy (SELECT note FROM log ORDER BY id) TO STDOUT (FORMAT csv, HEADER)
COPY log (note) FROM STDIN;
by stdin
\.
COPY log (note) TO STDOUT;
SELECT 'gdesc' AS a, 1 AS b \gdesc
SELECT 1/0;
SELECT shout('quiet');
BEGIN;
SELECT 'x'::int;
SELECT 1;
ROLLBACK;
\set FETCH_COUNT 0
\echo :ROW_COUNT :SQLSTATE
SHOW TimeZone;
SET TimeZone = 'UTC';
\timing off
EXPLAIN (COSTS OFF) SELECT * FROM items WHERE id = 1;
LISTEN bell;
NOTIFY bell, 'ding';
