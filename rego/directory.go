package rego

import (
	"context"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"
	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/bundle"
	"github.com/open-policy-agent/opa/v1/metrics"
	"github.com/open-policy-agent/opa/v1/plugins"
	"github.com/open-policy-agent/opa/v1/storage"
)

const (
	// directoryName is what the directory's bundle goes by in OPA's status.
	directoryName = "directory"
	// settle is how long files must be quiet before they are read: editors and the
	// kubelet write in several steps.
	settle = 50 * time.Millisecond
	// restless is how long they may go on changing before they are read anyhow.
	restless = time.Second
	// poll is for filesystems that tell nothing, and for a directory that is not
	// there yet.
	poll = 15 * time.Second
)

// directory is a plugin of OPA's that keeps the bundle in a directory active.
// OPA's own file:// bundles are read once, and neither follow the symlinks of a
// mounted ConfigMap nor skip what is hidden.
type directory struct {
	manager *plugins.Manager
	path    string
	refuse  func(error)
	used    func(*bundleFiles) // told what is in use now
	watcher *fsnotify.Watcher
	started bool
	quit    chan struct{}
	done    chan struct{}

	// Of the goroutine that loads, once it runs.
	tried string // digest of what was read last, whether it was any use or not
	fault string // what was said last
}

func newDirectory(m *plugins.Manager, path string, refuse func(error), used func(*bundleFiles)) *directory {
	m.UpdatePluginStatus(directoryName, &plugins.Status{State: plugins.StateNotReady})
	return &directory{
		manager: m, path: filepath.Clean(path), refuse: refuse, used: used,
		quit: make(chan struct{}), done: make(chan struct{}),
	}
}

// Start loads the directory and follows its changes until Stop.
func (d *directory) Start(ctx context.Context) error {
	var err error
	if d.watcher, err = fsnotify.NewWatcher(); err != nil {
		return fmt.Errorf("policy directory: %w", err)
	}
	d.load(ctx)
	d.started = true
	go d.run(ctx)
	return nil
}

// Stop ends the watch and waits for it.
func (d *directory) Stop(context.Context) {
	if !d.started {
		return
	}
	close(d.quit)
	<-d.done
}

// Reconfigure does nothing: the directory is not part of opa.yaml.
func (*directory) Reconfigure(context.Context, any) {}

func (d *directory) run(ctx context.Context) {
	defer close(d.done)
	defer func() { _ = d.watcher.Close() }()
	quiet := time.NewTimer(time.Hour)
	quiet.Stop()
	slow := time.NewTicker(poll)
	defer slow.Stop()
	var since time.Time // something changed that was not read yet
	changed := func() {
		if since.IsZero() {
			since = time.Now()
		}
		if time.Since(since) < restless {
			quiet.Reset(settle)
		}
	}
	for {
		select {
		case <-d.quit:
			return
		case ev := <-d.watcher.Events:
			if d.concerns(ev.Name) {
				changed()
			}
		case <-d.watcher.Errors: // an overflow: something was missed
			changed()
		case <-quiet.C:
			since = time.Time{}
			d.load(ctx)
		case <-slow.C:
			d.load(ctx)
		}
	}
}

// concerns tells events in the directory from those beside it.
func (d *directory) concerns(name string) bool {
	return name == d.path || strings.HasPrefix(name, d.path+string(filepath.Separator))
}

// watch follows the directory, what is below it, and the one it is in: it may be
// a symlink that is swapped, or not be there yet.
func (d *directory) watch() {
	_ = d.watcher.Add(filepath.Dir(d.path)) // what cannot be watched is polled
	_ = filepath.WalkDir(d.path, func(path string, e fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return nil //nolint:nilerr // what cannot be read cannot be watched: it is polled
		case path == d.path:
			return d.watcher.Add(path)
		case !e.IsDir():
			return nil
		case hidden(e.Name()):
			return fs.SkipDir
		}
		return d.watcher.Add(path)
	})
}

// load reads the directory and activates it where it has changed.
func (d *directory) load(ctx context.Context) {
	d.watch()
	files, err := readDirectory(d.path)
	if err == nil {
		if files.digest == d.tried {
			return
		}
		d.tried = files.digest
		err = d.activate(ctx, files)
	} else {
		d.tried = "" // try again, whatever comes
	}
	if err == nil {
		d.fault = ""
		d.manager.UpdatePluginStatus(directoryName, &plugins.Status{State: plugins.StateOK})
		d.used(files)
		return
	}
	err = fmt.Errorf("policy directory %s: %w", d.path, err)
	if d.tried == "" && err.Error() == d.fault {
		return // said already
	}
	d.fault = err.Error()
	d.manager.UpdatePluginStatus(directoryName, &plugins.Status{State: plugins.StateErr, Message: d.fault})
	d.refuse(err)
}

func (d *directory) activate(ctx context.Context, files *bundleFiles) error {
	b, err := files.bundle()
	if err != nil {
		return err
	}
	params := storage.WriteParams
	params.Context = storage.NewContext()
	return storage.Txn(ctx, d.manager.Store, params, func(txn storage.Transaction) error {
		compiler := ast.NewCompiler().
			WithPathConflictsCheck(storage.NonEmpty(ctx, d.manager.Store, txn)).
			WithPathConflictsCheckRoots(*b.Manifest.Roots).
			WithEnablePrintStatements(d.manager.EnablePrintStatements())
		err := bundle.Activate(&bundle.ActivateOpts{
			Ctx: ctx, Store: d.manager.Store, Txn: txn, TxnCtx: params.Context,
			Compiler: compiler, Metrics: metrics.NoOp(),
			Bundles:       map[string]*bundle.Bundle{directoryName: b},
			ParserOptions: d.manager.ParserOptions(),
		})
		plugins.SetCompilerOnContext(params.Context, compiler)
		return err
	})
}
