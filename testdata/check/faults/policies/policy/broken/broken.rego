package policy.broken

statement.allow if input.statement.kin == "select"

statement.deny contains "no" if undefined_function(1)

session.alow if true
