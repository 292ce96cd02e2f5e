package main

import (
	"context"
	"fmt"
	"strings"
)

var identities = chapter{"Who is it? A token, or nothing", []step{
	{"a client comes without a token", "refused, 28000", noToken},
	{"psql comes with a token that has expired", "refused, and told to get a new one", expiredToken},
	{"a workload that nobody has registered comes", "refused, 42501", stranger},
}}

func noToken(ctx context.Context, s *stage) (outcome, error) {
	_, err := s.connectWith(ctx, "")
	return refused(err, "28000", "token")
}

func expiredToken(ctx context.Context, s *stage) (outcome, error) {
	token, err := s.sallyport(ctx, "", "dev", "token", "--client", "schema-agent", "--ttl=-5m")
	if err != nil {
		return outcome{}, err
	}
	seen, exit, err := s.psql(ctx, strings.TrimSpace(token), "SELECT 1")
	if err != nil {
		return outcome{}, err
	}
	if missing := lacks(seen, "FATAL:  sallyport: ", "expired", "get a new token"); missing != "" || exit != 2 {
		return outcome{}, fmt.Errorf("exit %d without %q:\n%s", exit, missing, seen)
	}
	return outcome{"psql ends with 2", seen}, nil
}

func stranger(ctx context.Context, s *stage) (outcome, error) {
	_, err := s.connect(ctx, "stranger")
	return refused(err, "42501", "no policy allows this session")
}
