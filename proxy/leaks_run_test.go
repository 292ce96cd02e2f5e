package proxy_test

import (
	"context"
	"fmt"

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
	s := w.variant[i].proxied
	if c.how == readingRun || c.how == changingRun {
		return s.play(ctx, c, mode, c.how == changingRun)
	}
	before, err := s.state(ctx)
	if err != nil {
		return transcript{}, err
	}
	told, err := s.play(ctx, c, mode, false)
	if err != nil {
		return told, err
	}
	return told, s.tidy(ctx, c, before)
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

// state tells a database from what it was before: its objects and its rows.
func (s *leakSession) state(ctx context.Context) (state string, err error) {
	err = s.admin.QueryRow(ctx, stateSQL).Scan(&state)
	return state, err
}

const stateSQL = `
SELECT pg_catalog.md5(pg_catalog.string_agg(x, ' ' ORDER BY x)) FROM (
	SELECT pg_catalog.concat_ws('|', c.oid, c.relname, c.relnamespace, c.relacl, c.reloptions, c.relrowsecurity, c.relowner) FROM pg_catalog.pg_class c WHERE c.relpersistence <> 't' AND c.relnamespace <> 'pg_toast'::regnamespace
	UNION ALL SELECT pg_catalog.concat_ws('|', attrelid, attname, attnum, atttypid, atttypmod, attnotnull, attisdropped, attgenerated, attstattarget, attacl) FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = attrelid AND c.relpersistence <> 't' AND c.relnamespace <> 'pg_toast'::regnamespace
	UNION ALL SELECT pg_catalog.concat_ws('|', oid, proname, prosrc, proacl) FROM pg_catalog.pg_proc WHERE oid >= 16384
	UNION ALL SELECT pg_catalog.concat_ws('|', oid, typname) FROM pg_catalog.pg_type WHERE oid >= 16384 AND typnamespace::regnamespace::text !~ '^pg_'
	UNION ALL SELECT pg_catalog.concat_ws('|', oid, tgname, tgenabled) FROM pg_catalog.pg_trigger
	UNION ALL SELECT pg_catalog.concat_ws('|', oid, conname, convalidated) FROM pg_catalog.pg_constraint
	UNION ALL SELECT pg_catalog.concat_ws('|', oid, adbin) FROM pg_catalog.pg_attrdef
	UNION ALL SELECT pg_catalog.concat_ws('|', oid, ev_action) FROM pg_catalog.pg_rewrite WHERE oid >= 16384
	UNION ALL SELECT pg_catalog.concat_ws('|', oid, polname) FROM pg_catalog.pg_policy
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

// tidy undoes what a case has left behind, as its mark says.
func (s *leakSession) tidy(ctx context.Context, c *leakCase, before string) error {
	after, err := s.state(ctx)
	if err != nil || after == before {
		return err
	}
	if c.undo == "" {
		return fmt.Errorf("it has left something behind: write undo")
	}
	if _, err := s.admin.PgConn().Exec(ctx, c.undo).ReadAll(); err != nil {
		return fmt.Errorf("undo: %w", err)
	}
	if after, err = s.state(ctx); err != nil {
		return err
	}
	if after != before {
		return fmt.Errorf("undo does not undo it")
	}
	// DDL that goes through sallyport makes it read the catalog again.
	_, err = s.run(ctx, c, simpleMode, []string{"CREATE TABLE public.leaks_refresh ()", "DROP TABLE public.leaks_refresh"})
	s.close()
	return err
}
