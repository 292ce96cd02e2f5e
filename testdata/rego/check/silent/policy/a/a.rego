package policy.a

import data.sallyport.sql

session.allow if input.identity.known

statement.deny if not input.statement.where

statement.denny contains "never said"

statment.allow if sql.read_only

deny contains "nor this"

statement.limits.row := 5

statement.reading if sql.read_only

session.require_approval := "me"

statement.mask contains {"column": "public.t.c", "with": "redact"}

statement.trusted_functions := {"app.f"}
