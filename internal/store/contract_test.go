package store_test

import (
	"context"
	"errors"
	"reflect"
	"sync"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/approval"
	"github.com/sallyport/sallyport/internal/grant"
)

// The contract of every store of grants and approvals. testStore is run over each.
type contract interface {
	grant.Store
	approval.Store
}

func testStore(t *testing.T, fresh func(t *testing.T) contract) {
	for name, test := range map[string]func(*testing.T, contract){
		"grants come back as they went":    grantRoundTrip,
		"approvals come back as they went": approvalRoundTrip,
		"one open window in a place":       oneOpen,
		"no record, no grant":              grantNotRecorded,
		"grants compare and set":           grantCAS,
		"approvals compare and set":        approvalCAS,
		"unknown IDs":                      unknown,
		"grants are found":                 grantsFound,
		"approvals are found":              approvalsFound,
		"of many at once one wins":         manyMove,
		"an ended context changes nothing": endedContext,
	} {
		t.Run(name, func(t *testing.T) { test(t, fresh(t)) })
	}
}

var at = time.Date(2026, 5, 1, 12, 0, 0, 123456789, time.UTC)

func noRecord() error { return nil }

func someGrant(id, key, connection string, s grant.State) grant.Grant {
	return grant.Grant{
		ID: id, Principal: approval.Party{Key: key, Issuer: "entra", Subject: "s", Name: "n", Kind: "workload"}, Connection: connection,
		Binding: "b", Reason: "it's \"why\" \x00 ü", Mode: grant.ModeOnRequest, State: s, TTL: time.Minute, RequestedAt: at, ExpiresAt: at.Add(time.Minute),
	}
}

func someApproval(id string, s approval.State) approval.Request {
	return approval.Request{ID: id, Kind: approval.Statement, State: s, Requester: approval.Party{Key: "k"}, Approvers: []string{"group:x"},
		BindHash: "h", CreatedAt: at, Deadline: at.Add(time.Minute)}
}

// full sets every field, so that a column that is forgotten is missed.
func full(v reflect.Value) {
	switch x := v.Addr().Interface().(type) {
	case *time.Time:
		*x = at
		return
	case *[]string:
		*x = []string{"one", "two"}
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString("text")
	case reflect.Int64:
		v.SetInt(42)
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Struct:
		for i := range v.NumField() {
			full(v.Field(i))
		}
	default:
		panic(v.Kind())
	}
}

func grantRoundTrip(t *testing.T, s contract) {
	var all grant.Grant
	full(reflect.ValueOf(&all).Elem())
	all.State = grant.Active
	minimal := someGrant("g-min", "k2", "c", grant.Ended)
	for _, want := range []grant.Grant{all, minimal} {
		if _, err := s.CreateGrant(t.Context(), want, noRecord); err != nil {
			t.Fatal(err)
		}
		got, err := s.Grant(t.Context(), want.ID)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%v\n got %+v\nwant %+v", err, got, want)
		}
	}
	want := someGrant(all.ID, "k9", "c9", grant.Active) // every field changes
	got, err := s.MoveGrant(t.Context(), all.ID, []grant.State{grant.Active}, func(g *grant.Grant) error { *g = want; return nil })
	kept, kerr := s.Grant(t.Context(), all.ID)
	if err != nil || kerr != nil || !reflect.DeepEqual(got, want) || !reflect.DeepEqual(kept, want) {
		t.Errorf("%v %v\n got %+v\nkept %+v\nwant %+v", err, kerr, got, kept, want)
	}
}

func approvalRoundTrip(t *testing.T, s contract) {
	var all approval.Request
	full(reflect.ValueOf(&all).Elem())
	all.Kind, all.State = approval.Grant, approval.Approved
	for _, want := range []approval.Request{all, someApproval("a-min", approval.Pending)} {
		if err := s.CreateApproval(t.Context(), want, noRecord); err != nil {
			t.Fatal(err)
		}
		got, err := s.Approval(t.Context(), want.ID)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%v\n got %+v\nwant %+v", err, got, want)
		}
	}
	want := someApproval(all.ID, approval.Expired)
	got, err := s.MoveApproval(t.Context(), all.ID, []approval.State{approval.Approved}, func(r *approval.Request) error { *r = want; return nil })
	kept, kerr := s.Approval(t.Context(), all.ID)
	if err != nil || kerr != nil || !reflect.DeepEqual(got, want) || !reflect.DeepEqual(kept, want) {
		t.Errorf("%v %v\n got %+v\nkept %+v\nwant %+v", err, kerr, got, kept, want)
	}
}

func oneOpen(t *testing.T, s contract) {
	for i, state := range []grant.State{grant.Requested, grant.Pending, grant.Active} {
		place := string(state)
		if _, err := s.CreateGrant(t.Context(), someGrant("g-"+place, "k", place, state), noRecord); err != nil {
			t.Fatal(err)
		}
		told := false
		got, err := s.CreateGrant(t.Context(), someGrant("g-second", "k", place, grant.Requested), func() error { told = true; return nil })
		if !errors.Is(err, grant.ErrAlreadyOpen) || got.ID != "g-"+place || told {
			t.Errorf("%s: %+v, %v, recorded: %v", state, got, err, told)
		}
		if i == 0 { // others, and elsewhere, are not in the way
			for id, g := range map[string]grant.Grant{"other": someGrant("g-o", "k2", place, state), "else": someGrant("g-e", "k", "elsewhere", state)} {
				if _, err := s.CreateGrant(t.Context(), g, noRecord); err != nil {
					t.Errorf("%s: %v", id, err)
				}
			}
		}
	}
	closed := grant.Active
	for _, to := range []grant.State{grant.Refused, grant.Expired, grant.Revoked, grant.Ended} {
		id := "g-" + string(to)
		last := "g-" + string(closed)
		if _, err := s.MoveGrant(t.Context(), last, []grant.State{grant.Active}, func(g *grant.Grant) error { g.State = to; return nil }); err != nil {
			t.Fatal(err)
		}
		if _, err := s.CreateGrant(t.Context(), someGrant(id, "k", "active", grant.Active), noRecord); err != nil {
			t.Errorf("after one that is %s: %v", to, err)
		}
		closed = to
	}
}

func grantNotRecorded(t *testing.T, s contract) {
	full := errors.New("disk full")
	if _, err := s.CreateGrant(t.Context(), someGrant("g-1", "k", "c", grant.Requested), func() error { return full }); !errors.Is(err, full) {
		t.Errorf("%v", err)
	}
	if _, err := s.Grant(t.Context(), "g-1"); !errors.Is(err, grant.ErrNotFound) {
		t.Errorf("kept: %v", err)
	}
	if err := s.CreateApproval(t.Context(), someApproval("a-1", approval.Pending), func() error { return full }); !errors.Is(err, full) {
		t.Errorf("%v", err)
	}
	if _, err := s.Approval(t.Context(), "a-1"); !errors.Is(err, approval.ErrNotFound) {
		t.Errorf("kept: %v", err)
	}
}

func grantCAS(t *testing.T, s contract) {
	if _, err := s.CreateGrant(t.Context(), someGrant("g-1", "k", "c", grant.Active), noRecord); err != nil {
		t.Fatal(err)
	}
	called := false
	got, err := s.MoveGrant(t.Context(), "g-1", []grant.State{grant.Pending, grant.Requested}, func(*grant.Grant) error { called = true; return nil })
	if !errors.Is(err, grant.ErrState) || got.State != grant.Active || called {
		t.Errorf("%+v, %v, changed: %v", got, err, called)
	}
	no := errors.New("no")
	got, err = s.MoveGrant(t.Context(), "g-1", []grant.State{grant.Active}, func(g *grant.Grant) error { g.State = grant.Ended; return no })
	if kept, _ := s.Grant(t.Context(), "g-1"); !errors.Is(err, no) || got.State != grant.Active || kept.State != grant.Active {
		t.Errorf("%+v, %v, kept %s", got, err, kept.State)
	}
	got, err = s.MoveGrant(t.Context(), "g-1", []grant.State{grant.Pending, grant.Active}, func(g *grant.Grant) error {
		g.State, g.Actor, g.Cause = grant.Revoked, "bob", "why"
		return nil
	})
	if kept, _ := s.Grant(t.Context(), "g-1"); err != nil || !reflect.DeepEqual(got, kept) || kept.State != grant.Revoked || kept.Actor != "bob" || kept.Cause != "why" {
		t.Errorf("%+v, %v, kept %+v", got, err, kept)
	}
}

func approvalCAS(t *testing.T, s contract) {
	if err := s.CreateApproval(t.Context(), someApproval("a-1", approval.Approved), noRecord); err != nil {
		t.Fatal(err)
	}
	got, err := s.MoveApproval(t.Context(), "a-1", []approval.State{approval.Pending}, func(*approval.Request) error { t.Error("changed"); return nil })
	if !errors.Is(err, approval.ErrNotPending) || got.State != approval.Approved {
		t.Errorf("%+v, %v", got, err)
	}
	no := errors.New("no")
	_, err = s.MoveApproval(t.Context(), "a-1", []approval.State{approval.Approved}, func(r *approval.Request) error { r.State = approval.Consumed; return no })
	if kept, _ := s.Approval(t.Context(), "a-1"); !errors.Is(err, no) || kept.State != approval.Approved {
		t.Errorf("%v, kept %s", err, kept.State)
	}
}

func unknown(t *testing.T, s contract) {
	_, err := s.Grant(t.Context(), "x")
	_, merr := s.MoveGrant(t.Context(), "x", []grant.State{grant.Active}, func(*grant.Grant) error { return nil })
	if !errors.Is(err, grant.ErrNotFound) || !errors.Is(merr, grant.ErrNotFound) {
		t.Errorf("%v, %v", err, merr)
	}
	_, err = s.Approval(t.Context(), "x")
	_, merr = s.MoveApproval(t.Context(), "x", []approval.State{approval.Pending}, func(*approval.Request) error { return nil })
	if !errors.Is(err, approval.ErrNotFound) || !errors.Is(merr, approval.ErrNotFound) {
		t.Errorf("%v, %v", err, merr)
	}
}

func grantsFound(t *testing.T, s contract) {
	for i, g := range []grant.Grant{
		someGrant("g-0", "k1", "c1", grant.Ended), someGrant("g-1", "k1", "c1", grant.Active),
		someGrant("g-2", "k1", "c2", grant.Pending), someGrant("g-3", "k2", "c1", grant.Active),
	} {
		if i > 1 { // those of the same moment stand in the order they came
			g.RequestedAt = at.Add(time.Duration(i) * time.Second)
		}
		g.Unrecorded = i == 0
		if _, err := s.CreateGrant(t.Context(), g, noRecord); err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range map[string]struct {
		f    grant.Filter
		want []string
	}{
		"all, newest first": {grant.Filter{}, []string{"g-3", "g-2", "g-1", "g-0"}},
		"active":            {grant.Filter{States: []grant.State{grant.Active}}, []string{"g-3", "g-1"}},
		"two states":        {grant.Filter{States: []grant.State{grant.Pending, grant.Ended}}, []string{"g-2", "g-0"}},
		"a state's name":    {grant.Filter{States: []grant.State{"x' OR '1'='1"}}, nil},
		"principal":         {grant.Filter{PrincipalKey: "k2"}, []string{"g-3"}},
		"connection":        {grant.Filter{PrincipalKey: "k1", Connection: "c1"}, []string{"g-1", "g-0"}},
		"unrecorded":        {grant.Filter{Unrecorded: true}, []string{"g-0"}},
		"the latest":        {grant.Filter{Limit: 1}, []string{"g-3"}},
	} {
		got, err := s.Grants(t.Context(), c.f)
		var ids []string
		for _, g := range got {
			ids = append(ids, g.ID)
		}
		if err != nil || !reflect.DeepEqual(ids, c.want) {
			t.Errorf("%s: %q, %v, want %q", name, ids, err, c.want)
		}
	}
}

func approvalsFound(t *testing.T, s contract) {
	for i, r := range []approval.Request{
		{ID: "a-0", Kind: approval.Grant, State: approval.Approved, Requester: approval.Party{Key: "k1"}, GrantID: "g", Unrecorded: true},
		{ID: "a-1", Kind: approval.Statement, State: approval.Pending, Requester: approval.Party{Key: "k2"}, SessionID: "s", Connection: "c"},
	} {
		r.CreatedAt = at.Add(time.Duration(i) * time.Second)
		if err := s.CreateApproval(t.Context(), r, noRecord); err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range map[string]struct {
		f    approval.Filter
		want []string
	}{
		"all, newest first": {approval.Filter{}, []string{"a-1", "a-0"}},
		"state":             {approval.Filter{State: approval.Pending}, []string{"a-1"}},
		"kind":              {approval.Filter{Kind: approval.Grant}, []string{"a-0"}},
		"requester":         {approval.Filter{RequesterKey: "k2"}, []string{"a-1"}},
		"grant":             {approval.Filter{GrantID: "g"}, []string{"a-0"}},
		"session":           {approval.Filter{SessionID: "s"}, []string{"a-1"}},
		"connection":        {approval.Filter{Connection: "c"}, []string{"a-1"}},
		"unrecorded":        {approval.Filter{Unrecorded: true}, []string{"a-0"}},
		"limit":             {approval.Filter{Limit: 1}, []string{"a-1"}},
		"none":              {approval.Filter{State: approval.Pending, Kind: approval.Grant}, nil},
	} {
		got, err := s.Approvals(t.Context(), c.f)
		var ids []string
		for _, r := range got {
			ids = append(ids, r.ID)
		}
		if err != nil || !reflect.DeepEqual(ids, c.want) {
			t.Errorf("%s: %q, %v, want %q", name, ids, err, c.want)
		}
	}
}

func manyMove(t *testing.T, s contract) {
	if err := s.CreateApproval(t.Context(), someApproval("a-1", approval.Approved), noRecord); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	won := make(chan bool, 64)
	created := make(chan bool, 64)
	for i := range 64 {
		wg.Go(func() {
			_, err := s.MoveApproval(context.Background(), "a-1", []approval.State{approval.Approved}, func(r *approval.Request) error {
				r.State = approval.Consumed
				return nil
			})
			if err == nil {
				won <- true
			} else if !errors.Is(err, approval.ErrNotPending) {
				t.Error(err)
			}
			_, err = s.CreateGrant(context.Background(), someGrant("g-"+string(rune('A'+i)), "k", "c", grant.Requested), noRecord)
			if err == nil {
				created <- true
			} else if !errors.Is(err, grant.ErrAlreadyOpen) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if len(won) != 1 || len(created) != 1 {
		t.Errorf("%d moved it, %d created one", len(won), len(created))
	}
}

func endedContext(t *testing.T, s contract) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.CreateGrant(ctx, someGrant("g-1", "k", "c", grant.Requested), noRecord); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	if all, err := s.Grants(t.Context(), grant.Filter{}); err != nil || len(all) != 0 {
		t.Errorf("%+v, %v", all, err)
	}
}
