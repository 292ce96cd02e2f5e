package proxy_test

import (
	"context"
	"fmt"
	"regexp"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/sallyport/sallyport/internal/pgtest"
)

func (w *leakWorld) runStraight(ctx context.Context, c *leakCase, mode protocolMode, i int) (transcript, error) {
	v := w.variant[i]
	if c.how == committedRun {
		return w.runInClone(ctx, c, mode, v)
	}
	return v.straight.play(ctx, c, mode, c.how == changingRun || c.how == schemaRun)
}

func (w *leakWorld) runTwin(ctx context.Context, c *leakCase, mode protocolMode) (transcript, error) {
	return w.twin.play(ctx, c, mode, c.how == changingRun || c.how == schemaRun)
}

// runProxied runs DDL without a transaction around it, behind which sallyport would
// judge nothing, and checks that the database is afterwards what it was before.
func (w *leakWorld) runProxied(ctx context.Context, c *leakCase, mode protocolMode, i int) (transcript, error) {
	v := w.variant[i]
	told, err := v.proxied.play(ctx, c, mode, c.how == changingRun)
	if err != nil || c.how == readingRun || c.how == changingRun || !told.mayHaveChanged(c) {
		return told, err
	}
	return told, v.tidy(ctx, c)
}

var (
	changesNothing = regexp.MustCompile(`^done (BEGIN|COMMIT|ROLLBACK|SAVEPOINT|RELEASE|SET|RESET|SHOW|LISTEN|UNLISTEN|FETCH|MOVE|CLOSE|PREPARE|DEALLOCATE|DISCARD|DECLARE)`)
	selectsOnly    = regexp.MustCompile(`^done SELECT`)
	makesTables    = regexp.MustCompile(`(?i)\b(create|into|execute|lo_\w+)\b`)
)

func (t *transcript) mayHaveChanged(c *leakCase) bool {
	for _, line := range t.lines {
		switch {
		case !strings.HasPrefix(line, "done ") || changesNothing.MatchString(line):
		case selectsOnly.MatchString(line) && !makesTables.MatchString(strings.Join(c.statements, " ")):
		default:
			return true
		}
	}
	return false
}

// play runs a case, in a transaction that is rolled back if so wished. A session that
// may have been changed is not used again.
func (s *leakSession) play(ctx context.Context, c *leakCase, mode protocolMode, rolledBack bool) (transcript, error) {
	switch c.how {
	case readingRun:
	case changingRun:
		if _, err := s.admin.Exec(ctx, resetSequences); err != nil {
			return transcript{}, err
		}
	default:
		s.close()
		defer s.close()
		if _, err := s.admin.Exec(ctx, resetSequences); err != nil {
			return transcript{}, err
		}
	}
	if rolledBack {
		if _, err := s.run(ctx, c, simpleMode, []string{"BEGIN"}); err != nil {
			return transcript{}, err
		}
	}
	told, err := s.run(ctx, c, mode, c.statements)
	if err == nil && rolledBack && s.conn != nil {
		_, err = s.run(ctx, c, simpleMode, []string{"ROLLBACK"})
	}
	return told, err
}

// resetSequences is for what a rollback does not take back.
const resetSequences = `SELECT pg_catalog.setval(oid::regclass, 100) FROM pg_catalog.pg_class WHERE relkind = 'S' AND relpersistence = 'p'`

// runInClone runs what must be committed to leak in a database that is thrown away.
func (w *leakWorld) runInClone(ctx context.Context, c *leakCase, mode protocolMode, v *leakVariant) (told transcript, err error) {
	admin, err := pgx.Connect(ctx, w.super.Config().ConnString())
	if err != nil {
		return told, err
	}
	defer func() { _ = admin.Close(ctx) }()
	d := pgtest.Database{Name: v.pristine.Name + "_clone", Server: v.pristine.Server}
	if _, err := admin.Exec(ctx, "CREATE DATABASE "+d.Name+" TEMPLATE "+v.pristine.Name); err != nil {
		return told, err
	}
	inside, err := pgx.Connect(ctx, d.DSN())
	if err != nil {
		return told, err
	}
	s := &leakSession{dsn: d.DSNFor(leakRole, "x"), admin: inside}
	told, err = s.play(ctx, c, mode, false)
	s.close()
	_ = inside.Close(ctx)
	if _, dropErr := admin.Exec(ctx, "DROP DATABASE "+d.Name+" WITH (FORCE)"); err == nil {
		err = dropErr
	}
	return told, err
}

// readState tells a database from what it was before: its objects and its rows.
func (s *leakSession) readState(ctx context.Context) (state string, err error) {
	err = s.admin.QueryRow(ctx, stateSQL).Scan(&state)
	return state, err
}

const stateSQL = `
SELECT pg_catalog.md5(pg_catalog.string_agg(x, ' ' ORDER BY x)) FROM (
	SELECT pg_catalog.concat_ws('|', c.oid, c.relname, c.relnamespace, c.relacl, c.reloptions, c.relrowsecurity, c.relowner) FROM pg_catalog.pg_class c WHERE c.relpersistence <> 't' AND c.relnamespace <> 'pg_toast'::regnamespace
	UNION ALL SELECT pg_catalog.concat_ws('|', attrelid, attname, attnum, atttypid, atttypmod, attnotnull, attisdropped, attgenerated, attstattarget, attacl) FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = attrelid AND NOT attisdropped AND c.relpersistence <> 't' AND c.relnamespace <> 'pg_toast'::regnamespace
	UNION ALL SELECT pg_catalog.concat_ws('|', oid, proname, prosrc, proacl) FROM pg_catalog.pg_proc WHERE oid >= 16384
	UNION ALL SELECT pg_catalog.concat_ws('|', oid, typname) FROM pg_catalog.pg_type WHERE oid >= 16384 AND typnamespace::regnamespace::text !~ '^pg_'
	UNION ALL SELECT pg_catalog.concat_ws('|', oid, tgname, tgenabled) FROM pg_catalog.pg_trigger
	UNION ALL SELECT pg_catalog.concat_ws('|', oid, conname, convalidated) FROM pg_catalog.pg_constraint WHERE conrelid NOT IN (SELECT oid FROM pg_catalog.pg_class WHERE relpersistence = 't')
	UNION ALL SELECT pg_catalog.concat_ws('|', oid, adbin) FROM pg_catalog.pg_attrdef WHERE adrelid NOT IN (SELECT oid FROM pg_catalog.pg_class WHERE relpersistence = 't')
	UNION ALL SELECT pg_catalog.concat_ws('|', oid, pg_catalog.pg_get_ruledef(oid)) FROM pg_catalog.pg_rewrite WHERE oid >= 16384 AND ev_class NOT IN (SELECT oid FROM pg_catalog.pg_class WHERE relpersistence = 't')
	UNION ALL SELECT pg_catalog.concat_ws('|', polrelid, polname) FROM pg_catalog.pg_policy
	UNION ALL SELECT oid::text FROM pg_catalog.pg_cast
	UNION ALL SELECT oid::text FROM pg_catalog.pg_operator
	UNION ALL SELECT oid::text FROM pg_catalog.pg_statistic_ext
	UNION ALL SELECT nspname FROM pg_catalog.pg_namespace WHERE nspname !~ '^pg_(toast_)?temp_'
	UNION ALL SELECT extname FROM pg_catalog.pg_extension
	UNION ALL SELECT oid::text FROM pg_catalog.pg_largeobject_metadata
	UNION ALL SELECT pg_catalog.concat_ws('|', description) FROM pg_catalog.pg_description WHERE objoid >= 16384
	UNION ALL SELECT pg_catalog.query_to_xml(pg_catalog.format('SELECT pg_catalog.md5(pg_catalog.string_agg(t::text, '' '' ORDER BY t::text)) FROM ONLY %s t', oid::regclass), false, true, '')::text
		FROM pg_catalog.pg_class WHERE relkind = 'r' AND relpersistence = 'p' AND oid >= 16384 AND relname <> 'pg_stat_statements'
) AS everything(x)`

// tidy drops what a case has made, undoes the rest as its mark says, and reports
// what is left.
func (v *leakVariant) tidy(ctx context.Context, c *leakCase) error {
	now, err := v.proxied.readState(ctx)
	if err != nil || now == v.state {
		return err
	}
	// What must be undone depends on how far the case has come: it may fail.
	_, _ = v.proxied.admin.PgConn().Exec(ctx, c.undo).ReadAll()
	if _, err := v.proxied.admin.PgConn().Exec(ctx, strings.ReplaceAll(dropSQL, "NEWEST", fmt.Sprint(v.newest))).ReadAll(); err != nil {
		return fmt.Errorf("undoing it: %w", err)
	}
	if now, err = v.proxied.readState(ctx); err != nil {
		return err
	}
	if now != v.state {
		v.state = now // not to blame it on the next one too
		return fmt.Errorf("it has left something behind: write undo")
	}
	// DDL that goes through sallyport makes it read the catalog again.
	_, err = v.proxied.run(ctx, c, simpleMode, []string{"CREATE TABLE public.leaks_refresh ()", "DROP TABLE public.leaks_refresh"})
	v.proxied.close()
	return err
}

// dropSQL drops what was made since the world was.
const dropSQL = `DO $$
DECLARE o record;
BEGIN
	FOR o IN SELECT i.* FROM (
			SELECT 'pg_class'::regclass AS class, oid FROM pg_class WHERE relpersistence <> 't' AND relkind NOT IN ('t', 'c', 'i')
			UNION ALL SELECT 'pg_type'::regclass, oid FROM pg_type WHERE typtype IN ('d', 'e', 'c')
			UNION ALL SELECT 'pg_proc'::regclass, oid FROM pg_proc
			UNION ALL SELECT 'pg_cast'::regclass, oid FROM pg_cast
			UNION ALL SELECT 'pg_operator'::regclass, oid FROM pg_operator
			UNION ALL SELECT 'pg_trigger'::regclass, oid FROM pg_trigger WHERE NOT tgisinternal
			UNION ALL SELECT 'pg_rewrite'::regclass, oid FROM pg_rewrite WHERE rulename <> '_RETURN'
			UNION ALL SELECT 'pg_policy'::regclass, oid FROM pg_policy
			UNION ALL SELECT 'pg_foreign_server'::regclass, oid FROM pg_foreign_server
			UNION ALL SELECT 'pg_statistic_ext'::regclass, oid FROM pg_statistic_ext
			UNION ALL SELECT 'pg_ts_config'::regclass, oid FROM pg_ts_config
			UNION ALL SELECT 'pg_collation'::regclass, oid FROM pg_collation
			UNION ALL SELECT 'pg_class'::regclass, oid FROM pg_class WHERE relkind = 'i' AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = pg_class.oid)
			UNION ALL SELECT 'pg_namespace'::regclass, oid FROM pg_namespace WHERE nspname !~ '^pg_'
		) AS new, pg_identify_object(class, oid, 0) AS i WHERE oid > NEWEST AND (i.schema IS NULL OR i.schema !~ '^pg_(toast|temp)')
	LOOP
		CONTINUE WHEN o.identity IS NULL; -- gone with another
		BEGIN
			EXECUTE format('DROP %s %s CASCADE', replace(o.type, 'statistics object', 'statistics'), o.identity);
		EXCEPTION WHEN undefined_table OR undefined_object OR undefined_function OR invalid_schema_name THEN
		END;
	END LOOP;
	PERFORM lo_unlink(oid) FROM pg_largeobject_metadata;
END $$;
`
