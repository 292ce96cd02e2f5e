# What programs do with psycopg 3. Run straight and through the proxy it prints the
# same; with "denied" it shows what becomes of a denied statement.
import sys
import psycopg

dsn, how = sys.argv[1], sys.argv[2]
conn = psycopg.connect(dsn, autocommit=True)

if how == "denied":
    for prepare in (False, True):
        try:
            conn.execute("SELECT word FROM secrets WHERE id = %s", (1,), prepare=prepare)
        except psycopg.errors.InsufficientPrivilege as e:
            print(e.sqlstate, e.diag.message_primary, e.diag.message_hint, e.diag.message_detail, sep="\n")
    with conn.transaction():
        try:
            with conn.transaction():
                conn.execute("SELECT word FROM secrets")
        except psycopg.errors.InsufficientPrivilege:
            pass
        print("alive", conn.execute("SELECT count(*) FROM items").fetchone())
    try:
        with conn.pipeline():
            conn.execute("INSERT INTO log (note) VALUES ('lost')")
            conn.execute("SELECT word FROM secrets")
            conn.execute("INSERT INTO log (note) VALUES ('skipped')")
    except psycopg.errors.InsufficientPrivilege as e:
        print(e.sqlstate)
    print("alive", conn.execute("SELECT count(*) FROM log").fetchone())
    sys.exit(0)

for prepare in (False, True):
    for binary in (False, True):
        cur = conn.execute("SELECT id, name, price, made, data FROM items WHERE id >= %s ORDER BY id", (1,), prepare=prepare, binary=binary)
        print([c.name for c in cur.description], cur.fetchall())
for i in range(7):  # prepared on the server from the sixth on
    print(conn.execute("SELECT name FROM items WHERE id = %s", (i % 3 + 1,)).fetchone())
with conn.transaction():
    cur = conn.cursor()
    cur.executemany("INSERT INTO log (note) VALUES (%s) RETURNING id", [("a",), ("b",), (None,)], returning=True)
    while True:
        print(cur.fetchall())
        if not cur.nextset():
            break
with conn.pipeline() as p:
    cursors = [conn.execute("SELECT %s::int * 2", (i,)) for i in range(5)]
    p.sync()
    print([c.fetchone() for c in cursors])
with conn.cursor() as cur:
    with cur.copy("COPY log (note) FROM STDIN") as copy:
        for word in ("one", "two"):
            copy.write_row((word,))
    with cur.copy("COPY (SELECT note FROM log ORDER BY id) TO STDOUT (FORMAT binary)") as copy:
        copy.set_types(["text"])
        print(list(copy.rows()))
    print([row for row in cur.stream("SELECT generate_series(1, 5)")])
try:
    conn.execute("INSERT INTO items (id, name) VALUES (1, 'again')")
except psycopg.errors.UniqueViolation as e:
    print(e.sqlstate, e.diag.constraint_name, e.diag.message_detail)
conn.add_notify_handler(lambda n: print(n.channel, n.payload))
conn.execute("LISTEN bell")
conn.execute("NOTIFY bell, 'ding'")
print(conn.info.encoding, conn.info.parameter_status("TimeZone"), conn.info.transaction_status.name)
conn.close()
