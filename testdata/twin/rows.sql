-- v(a, b) is what the variant has. Both have the same mask, and are NULL alike.
CREATE FUNCTION public.v(a text, b text) RETURNS text LANGUAGE sql STABLE AS
    $$SELECT CASE current_setting('twin.variant') WHEN 'b' THEN b ELSE a END$$;

INSERT INTO app.customers VALUES
    (1, 'Ada', v('ada@example.com', 'a.lovelace@example.com'), v('555-0100', '777-9100'), v('078-05-1120', 'x'), v('41', '44')::int, v('1234.56', '1234.01')::numeric,
        v('1815-12-10', '1815-01-02')::date, v('2024-03-05 10:11:12.5+00', '2024-03-28 23:00:00+00')::timestamptz, true, v('{a,b}', '{q}')::text[], v('{"k": 1}', '[2]')::jsonb, 'happy',
        v('6b1f3a2e-0000-4000-8000-000000000001', '6b1f3a2e-0000-4000-8000-00000000000f')::uuid, NULL, 'ada', v('vip', 'std')),
    (2, 'Bob', v('bob@x.example.org', 'b@x.example.org'), NULL, v('219-09-9999', '000-00-0000'), v('7', '11')::int, v('99.99', '99.00')::numeric,
        v('1999-12-31', '1999-01-01')::date, v('2023-12-31 23:59:59+00', '2023-12-01 00:00:00+00')::timestamptz, false, '{}', '{}', 'sad',
        v('6b1f3a2e-0000-4000-8000-000000000002', '00000000-0000-0000-0000-000000000003')::uuid, 1, 'Bob', NULL),
    (3, 'Cyd', v('not an address', 'nor is this'), v('555-0133', '999-9133'), NULL, 0, v('0.05', '-0.50')::numeric,
        v('2000-02-29', '2000-03-01')::date, v('2024-01-01 00:00:00+00', '2024-01-31 12:00:00+00')::timestamptz, NULL, NULL, NULL, 'ok',
        NULL, 1, 'éclair', v('vip', 'new')),
    (4, 'Dan', NULL, v('12', '34'), v('', 'long text here'), NULL, NULL, NULL, NULL, true, v('{x}', '{y,z}')::text[], 'null', 'ok',
        v('6b1f3a2e-0000-4000-8000-000000000001', '6b1f3a2e-0000-4000-8000-000000000004')::uuid, 2, 'ada', v('std', 'std2')),
    (5, 'Eve', v('eve@x.io', 'e@x.io'), v('555-0100', '555-0100'), v('078-05-1120', '078-05-1121'), v('-12', '-14')::int, 0,
        '2024-01-01', v('2024-03-05 00:00:00+00', '2024-03-01 00:00:00+00')::timestamptz, false, NULL, v('[1]', '[1, 2]')::jsonb, 'happy',
        v('6b1f3a2e-0000-4000-8000-000000000001', '6b1f3a2e-0000-4000-8000-000000000005')::uuid, 2, NULL, v('std', 'vip')),
    (6, 'ada', v('ada@example.com', 'anna@example.com'), v('1', '2'), v('1', '2'), v('38', '42')::int, v('1234.56', '1234.99')::numeric,
        v('1815-05-05', '1815-12-31')::date, NULL, NULL, v('{a}', '{b}')::text[], '{"a": {"b": "x"}}', NULL, NULL, 5, 'zoe', NULL);
INSERT INTO app.orders VALUES
    (10, 1, v('ada@example.com', 'secret'), 20.00, '2024-01-02', v('first', 'fiery'), '{"k": 1}'), (11, 1, v('ada@work.example', 'another'), 35.50, '2024-02-03', NULL, '[1, "a"]'),
    (12, 2, v('bob', 'bobby'), 5.00, '2024-02-04', v('rush', 'ruby'), NULL), (13, 5, v('e', 'f'), 100.00, '2023-03-01', v('first', 'fishy'), '{"a": {"b": "x"}}'),
    (14, 5, NULL, 7.25, NULL, v('gift', 'girl'), '{}'), (1, 3, v('a', ''), 1.50, '2023-06-30', '', NULL), (2, 6, v('b', 'bb'), 12.34, '2024-01-02', v('x_y', 'x_z'), '{"k": 1}');
INSERT INTO app.order_lines VALUES (10, 1, 'apple', 2, 1.50), (10, 2, 'pear', 1, 2.00), (11, 1, 'apple', 10, 1.45), (13, 1, 'fig', 3, NULL), (1, 1, NULL, 1, 0), (2, 1, 'pear', 4, 2.25);
INSERT INTO app.products VALUES ('apple', 'Apple', 1.50, 10, '{fruit,red}'), ('pear', 'Pear', 2.25, 0, '{fruit}'), ('fig', 'Fig', 4.00, 3, NULL), ('nut', NULL, 0.50, 40, '{}');
INSERT INTO app.events VALUES (1, '2023-05-05', 'login', v('s1', 't1'), v('11', '14')::int), (2, '2024-05-05', 'login', v('s2', 'long secret'), v('20', '24')::int), (3, '2024-06-06', 'pay', NULL, NULL),
    (4, '2023-01-01', 'a', v('x', 'y'), v('-3', '3')::int);
INSERT INTO app.people VALUES (1, 'Pia', v('p-secret', 'p-hidden')), (2, 'ada', v('x', 'x'));
INSERT INTO app.staff VALUES (2, 'Sam', v('s-secret', 's-public'), 'R1', v('100', '9000')::int), (3, 'Tom', v('t1', 't2'), NULL, NULL), (4, 'Una', NULL, 'R2', v('7', '8')::int);
INSERT INTO app.visits VALUES (1, 'Ada', '2024-01-02'), (2, 'ada@example.com', '2023-06-30'), (2, 'Ada', NULL), (40, NULL, '2024-01-02'), (1, '', '2000-01-01');
INSERT INTO other.customers VALUES (1, 'public@example.com', 'north'), (2, 'ada@example.com', 'south'), (7, NULL, NULL);
INSERT INTO "Odd Schema"."Odd Table" VALUES (1, 'one', v('eins', 'uno')), (2, 'two', v('zwei', 'dos')), (3, NULL, NULL);

DROP FUNCTION public.v;
REFRESH MATERIALIZED VIEW app.snapshot;
ANALYZE;
