package policy.schema_checks

session.allow := true
