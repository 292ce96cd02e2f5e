package policy.a

statement.allow if input.statement.wher

statement.deny contains "no" if input.identity.grups[_] == "x"
