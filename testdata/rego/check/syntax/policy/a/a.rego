package policy.a

statement.allow if {
