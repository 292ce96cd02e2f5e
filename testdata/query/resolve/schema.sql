-- Overloads of what PostgreSQL has itself, in two schemas, and types with their own comparison.
CREATE SCHEMA one;
CREATE SCHEMA two;

CREATE TYPE one.mood AS ENUM ('sad', 'ok');
CREATE TYPE one.pair AS (a int, b text);
CREATE TYPE one.money AS (amount numeric, unit text);
CREATE DOMAIN one.word AS text;
CREATE DOMAIN one.code AS varchar(10);
CREATE DOMAIN one.small AS int;
CREATE DOMAIN one.list AS int[];
CREATE FUNCTION one.is_even(int) RETURNS bool LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN true; END';
CREATE DOMAIN one.even AS int CHECK (one.is_even(VALUE));

CREATE TABLE one.t (
	id int PRIMARY KEY, big bigint, sm smallint, num numeric, f float8, r real, txt text, vc varchar(20), ch char(5), nm name,
	b bool, d date, ts timestamp, tz timestamptz, iv interval, u uuid, j json, jb jsonb, ints int[], texts text[], by bytea,
	m one.mood, p one.pair, mo one.money, w one.word, c one.code, s one.small, l one.list, o oid, ir int4range, cc "char", e one.even,
	ps one.pair[], bigs bigint[], vcs varchar[], pt point, x xml, ip inet, tv tsvector, imr int4multirange
);
CREATE TABLE one.kid (extra int) INHERITS (one.t);
CREATE TABLE one.ruled (id int);
CREATE TABLE one.typed OF one.pair;

-- functions
CREATE FUNCTION one.length(int) RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN 1; END';
CREATE FUNCTION one.length(varchar) RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN 1; END';
CREATE FUNCTION one.lower(text, int DEFAULT 1) RETURNS text LANGUAGE plpgsql AS 'BEGIN RETURN 1; END';
CREATE FUNCTION one.upper(varchar) RETURNS text LANGUAGE plpgsql AS 'BEGIN RETURN 1; END';
CREATE FUNCTION two.upper(text) RETURNS text LANGUAGE plpgsql AS 'BEGIN RETURN 1; END';
CREATE FUNCTION one.abs(numeric) RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN 1; END';
CREATE FUNCTION one.abs(text) RETURNS text LANGUAGE plpgsql AS 'BEGIN RETURN 1; END';
CREATE FUNCTION one.round(int) RETURNS text LANGUAGE plpgsql AS 'BEGIN RETURN 1; END';
CREATE FUNCTION one.concat(text, text) RETURNS text LANGUAGE plpgsql AS 'BEGIN RETURN 1; END';
CREATE FUNCTION two.concat(VARIADIC text[]) RETURNS text LANGUAGE plpgsql AS 'BEGIN RETURN 1; END';
CREATE FUNCTION one.coalesce2(anyelement, anyelement) RETURNS anyelement LANGUAGE plpgsql AS 'BEGIN RETURN $1; END';
CREATE FUNCTION one.coalesce2(anyarray, anyelement) RETURNS anyarray LANGUAGE plpgsql AS 'BEGIN RETURN $1; END';
CREATE FUNCTION two.coalesce2(text, text) RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN 1; END';
CREATE FUNCTION one.same(anycompatible, anycompatible) RETURNS anycompatible LANGUAGE plpgsql AS 'BEGIN RETURN $1; END';
CREATE FUNCTION one.wrap(anyelement) RETURNS anyarray LANGUAGE plpgsql AS 'BEGIN RETURN ARRAY[$1]; END';
CREATE FUNCTION one.first(anyarray) RETURNS anyelement LANGUAGE plpgsql AS 'BEGIN RETURN $1[1]; END';
CREATE FUNCTION one.first(jsonb) RETURNS jsonb LANGUAGE plpgsql AS 'BEGIN RETURN $1; END';
CREATE FUNCTION one.many(VARIADIC int[]) RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN 1; END';
CREATE FUNCTION one.many(int) RETURNS text LANGUAGE plpgsql AS 'BEGIN RETURN 1; END';
CREATE FUNCTION one.many(text, VARIADIC numeric[]) RETURNS numeric LANGUAGE plpgsql AS 'BEGIN RETURN 1; END';
CREATE FUNCTION one.every(VARIADIC "any") RETURNS int LANGUAGE internal AS 'jsonb_build_object';
CREATE FUNCTION one.named(a int, b text DEFAULT 'x', c bool DEFAULT true) RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN 1; END';
CREATE FUNCTION one.named(a text, z text DEFAULT 'x') RETURNS text LANGUAGE plpgsql AS 'BEGIN RETURN 1; END';
CREATE FUNCTION two.named(b int, a int) RETURNS bool LANGUAGE plpgsql AS 'BEGIN RETURN true; END';
CREATE FUNCTION one.pick(bigint) RETURNS bigint LANGUAGE plpgsql AS 'BEGIN RETURN 1; END';
CREATE FUNCTION one.pick(numeric) RETURNS numeric LANGUAGE plpgsql AS 'BEGIN RETURN 1; END';
CREATE FUNCTION one.pick(float8) RETURNS float8 LANGUAGE plpgsql AS 'BEGIN RETURN 1; END';
CREATE FUNCTION one.pick(timestamptz) RETURNS timestamptz LANGUAGE plpgsql AS 'BEGIN RETURN $1; END';
CREATE FUNCTION two.pick(text) RETURNS text LANGUAGE plpgsql AS 'BEGIN RETURN 1; END';
CREATE FUNCTION one.takes(one.pair) RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN 1; END';
CREATE FUNCTION one.takes(record) RETURNS text LANGUAGE plpgsql AS 'BEGIN RETURN 1; END';
CREATE FUNCTION one.takes(one.t) RETURNS bigint LANGUAGE plpgsql AS 'BEGIN RETURN 1; END';
CREATE FUNCTION one.label(one.t) RETURNS text LANGUAGE plpgsql AS 'BEGIN RETURN 1; END';
CREATE FUNCTION one.txt(one.t) RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN 1; END';
CREATE FUNCTION one.big(int) RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN 1; END';
CREATE FUNCTION one.int4(text) RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN 1; END';
CREATE FUNCTION one.word(int) RETURNS text LANGUAGE plpgsql AS 'BEGIN RETURN 1; END';
CREATE FUNCTION one.rows(n int, OUT a int, OUT b text) RETURNS SETOF record LANGUAGE plpgsql AS 'BEGIN END';
CREATE FUNCTION one.rows(n text, OUT a text) RETURNS SETOF text LANGUAGE plpgsql AS 'BEGIN END';
CREATE FUNCTION one.poly_rows(x anyelement, OUT y anyelement, OUT z anyarray) LANGUAGE plpgsql AS 'BEGIN END';
CREATE FUNCTION one.all_t() RETURNS SETOF one.t LANGUAGE plpgsql AS 'BEGIN END';
CREATE FUNCTION one.range_of(anyrange) RETURNS anyelement LANGUAGE plpgsql AS 'BEGIN RETURN lower($1); END';
CREATE FUNCTION one.now() RETURNS timestamp LANGUAGE plpgsql AS 'BEGIN RETURN 1; END';
CREATE FUNCTION two.to_char(anyelement, text) RETURNS text LANGUAGE plpgsql AS 'BEGIN RETURN 1; END';
CREATE FUNCTION two.extract(text, text) RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN 1; END';
CREATE FUNCTION one.generate_series(text, text) RETURNS SETOF text LANGUAGE plpgsql AS 'BEGIN END';
CREATE FUNCTION one.enumy(anyenum) RETURNS anyenum LANGUAGE plpgsql AS 'BEGIN RETURN $1; END';
CREATE FUNCTION one.nonarray(anynonarray) RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN 1; END';
CREATE FUNCTION one.nonarray(anyarray) RETURNS text LANGUAGE plpgsql AS 'BEGIN RETURN 1; END';

-- aggregates
CREATE FUNCTION one.agg_step(int, int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1';
CREATE FUNCTION one.agg_text(text, text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT $1';
CREATE AGGREGATE one.sum(int) (SFUNC = one.agg_step, STYPE = int, INITCOND = '0');
CREATE AGGREGATE one.max(text) (SFUNC = one.agg_text, STYPE = text);
CREATE AGGREGATE two.count(text) (SFUNC = one.agg_text, STYPE = text);
CREATE FUNCTION one.any_step(anyelement, anyelement) RETURNS anyelement LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN $1; END';
CREATE AGGREGATE one.last(anyelement) (SFUNC = one.any_step, STYPE = anyelement);

-- operators
CREATE FUNCTION one.eq(varchar, text) RETURNS bool LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN true; END';
CREATE OPERATOR one.= (FUNCTION = one.eq, LEFTARG = varchar, RIGHTARG = text);
CREATE FUNCTION one.eq_mood(one.mood, text) RETURNS bool LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN true; END';
CREATE OPERATOR one.= (FUNCTION = one.eq_mood, LEFTARG = one.mood, RIGHTARG = text);
CREATE FUNCTION two.eq_int(int, int) RETURNS bool LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN true; END';
CREATE OPERATOR two.= (FUNCTION = two.eq_int, LEFTARG = int, RIGHTARG = int);
CREATE FUNCTION one.lt(numeric, int) RETURNS bool LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN true; END';
CREATE OPERATOR one.< (FUNCTION = one.lt, LEFTARG = numeric, RIGHTARG = int);
CREATE FUNCTION one.plus(text, int) RETURNS text LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN 1; END';
CREATE OPERATOR one.+ (FUNCTION = one.plus, LEFTARG = text, RIGHTARG = int);
CREATE FUNCTION one.minus(text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN 1; END';
CREATE OPERATOR one.- (FUNCTION = one.minus, RIGHTARG = text);
CREATE FUNCTION two.bars(anyelement, text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN 1; END';
CREATE OPERATOR two.|| (FUNCTION = two.bars, LEFTARG = anyelement, RIGHTARG = text);
CREATE FUNCTION one.like(text, int) RETURNS bool LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN true; END';
CREATE OPERATOR one.~~ (FUNCTION = one.like, LEFTARG = text, RIGHTARG = int);
CREATE FUNCTION one.money_add(one.money, one.money) RETURNS one.money LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN $1; END';
CREATE OPERATOR one.+ (FUNCTION = one.money_add, LEFTARG = one.money, RIGHTARG = one.money);
CREATE FUNCTION one.money_lt(one.money, one.money) RETURNS bool LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN true; END';
CREATE FUNCTION one.money_le(one.money, one.money) RETURNS bool LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN true; END';
CREATE FUNCTION one.money_eq(one.money, one.money) RETURNS bool LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN true; END';
CREATE FUNCTION one.money_ge(one.money, one.money) RETURNS bool LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN true; END';
CREATE FUNCTION one.money_gt(one.money, one.money) RETURNS bool LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN true; END';
CREATE FUNCTION one.money_cmp(one.money, one.money) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN 0; END';
CREATE OPERATOR one.< (FUNCTION = one.money_lt, LEFTARG = one.money, RIGHTARG = one.money);
CREATE OPERATOR one.<= (FUNCTION = one.money_le, LEFTARG = one.money, RIGHTARG = one.money);
CREATE OPERATOR one.= (FUNCTION = one.money_eq, LEFTARG = one.money, RIGHTARG = one.money);
CREATE OPERATOR one.>= (FUNCTION = one.money_ge, LEFTARG = one.money, RIGHTARG = one.money);
CREATE OPERATOR one.> (FUNCTION = one.money_gt, LEFTARG = one.money, RIGHTARG = one.money);
CREATE OPERATOR CLASS one.money_ops DEFAULT FOR TYPE one.money USING btree AS
	OPERATOR 1 one.<, OPERATOR 2 one.<=, OPERATOR 3 one.=, OPERATOR 4 one.>=, OPERATOR 5 one.>, FUNCTION 1 one.money_cmp(one.money, one.money);

-- casts
CREATE FUNCTION one.to_pair(int) RETURNS one.pair LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN NULL; END';
CREATE CAST (int AS one.pair) WITH FUNCTION one.to_pair(int) AS ASSIGNMENT;
CREATE FUNCTION one.to_money(numeric) RETURNS one.money LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN NULL; END';
CREATE CAST (numeric AS one.money) WITH FUNCTION one.to_money(numeric) AS IMPLICIT;
CREATE FUNCTION one.of_money(one.money) RETURNS float8 LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN 1; END';
CREATE CAST (one.money AS float8) WITH FUNCTION one.of_money(one.money) AS IMPLICIT;
CREATE FUNCTION one.money_json(one.money) RETURNS json LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN 1; END';
CREATE CAST (one.money AS json) WITH FUNCTION one.money_json(one.money);
CREATE FUNCTION one.pair_text(one.pair) RETURNS text LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN 1; END';
CREATE CAST (one.pair AS text) WITH FUNCTION one.pair_text(one.pair);
CREATE FUNCTION one.mood_int(one.mood) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN 1; END';
CREATE CAST (one.mood AS int) WITH FUNCTION one.mood_int(one.mood) AS IMPLICIT;
CREATE FUNCTION one.mood_bool(one.mood) RETURNS bool LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN true; END';
CREATE CAST (one.mood AS bool) WITH FUNCTION one.mood_bool(one.mood) AS ASSIGNMENT;
CREATE FUNCTION one.uuid_int8(uuid) RETURNS bigint LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN 1; END';
CREATE CAST (uuid AS bigint) WITH FUNCTION one.uuid_int8(uuid) AS ASSIGNMENT;
