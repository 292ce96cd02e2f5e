package policy.b

statement.allow if input.statement.wher
