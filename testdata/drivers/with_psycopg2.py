# What programs do with psycopg2. Run straight and through the proxy it prints the
# same; with "denied" it shows what becomes of a denied statement.
import io, select, sys
import psycopg2, psycopg2.errors, psycopg2.extras

dsn, how = sys.argv[1], sys.argv[2]
conn = psycopg2.connect(dsn)
cur = conn.cursor()

if how == "denied":
    try:
        cur.execute("SELECT word FROM secrets WHERE id = %s", (1,))
    except psycopg2.errors.InsufficientPrivilege as e:
        print(e.pgcode, e.diag.message_primary, e.diag.message_hint, e.diag.message_detail, sep="\n")
    try:
        cur.execute("SELECT 1")
    except psycopg2.errors.InFailedSqlTransaction as e:
        print(e.pgcode)
    conn.rollback()
    with conn:
        cur.execute("SAVEPOINT s")
        try:
            cur.execute("SELECT word FROM secrets")
        except psycopg2.errors.InsufficientPrivilege:
            cur.execute("ROLLBACK TO s")
        cur.execute("SELECT count(*) FROM items")
        print("alive", cur.fetchone())
    sys.exit(0)

cur.execute("SELECT id, name, price, made, data FROM items WHERE id >= %s ORDER BY id", (1,))
print(cur.description, [row[:4] + (row[4] and bytes(row[4]),) for row in cur.fetchall()])
cur.execute("INSERT INTO log (note) VALUES (%s), (%s) RETURNING id", ("a", None))
print(cur.fetchall(), cur.rowcount)
conn.commit()
psycopg2.extras.execute_values(cur, "INSERT INTO log (note) VALUES %s", [("x%d" % i,) for i in range(250)])
conn.rollback()
cur.copy_expert("COPY log (note) FROM STDIN", io.StringIO("one\ntwo\n"))
out = io.StringIO()
cur.copy_expert("COPY log (note) TO STDOUT", out)
print(repr(out.getvalue()))
conn.commit()
try:
    cur.execute("INSERT INTO items (id, name) VALUES (1, 'again')")
except psycopg2.errors.UniqueViolation as e:
    print(e.pgcode, e.diag.constraint_name, e.diag.message_detail)
conn.rollback()
cur.execute("SELECT shout('hello')")
print(conn.notices)
conn.commit()
conn.set_session(isolation_level="SERIALIZABLE", readonly=True)
cur.execute("SHOW transaction_isolation")
print(cur.fetchone())
conn.rollback()
conn.set_session(isolation_level="DEFAULT", readonly=False, autocommit=True)
cur.execute("LISTEN bell")
cur.execute("NOTIFY bell, 'ding'")
conn.poll()
print([(n.channel, n.payload) for n in conn.notifies])
print(conn.encoding, conn.get_parameter_status("TimeZone"))
conn.close()
