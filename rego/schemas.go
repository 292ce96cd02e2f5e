package rego

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"sync"

	"github.com/open-policy-agent/opa/v1/ast"
)

//go:embed schemas/input.json
var inputSchema []byte

// schemas are what `opa check --schema rego/schemas` reads from disk.
var schemas = sync.OnceValues(func() (*ast.SchemaSet, error) {
	var input any
	if err := json.Unmarshal(inputSchema, &input); err != nil {
		return nil, fmt.Errorf("schemas/input.json: %w", err)
	}
	set := ast.NewSchemaSet()
	set.Put(ast.MustParseRef("schema.input"), input)
	return set, nil
})
