package query

import pg_query "github.com/pganalyze/pg_query_go/v5"

func (s *state) utility(node *pg_query.Node) {
	s.kind("other", "other")
	s.unknownNode(node)
}
