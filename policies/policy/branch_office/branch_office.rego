# METADATA
# title: Branch office
# description: |
#   An agent of a branch sees the customers of its own city, and the tickets that are
#   still open. Other rows are as if they were not there. Which city is in its token;
#   auditors see all customers.
# custom:
#   owner: sales
package policy.branch_office

import data.sallyport.identity
import data.sallyport.sql

session.allow if identity.known_workload

session.deny contains "groups of the caller could not be resolved" if not input.identity.groups_complete

statement.allow if sql.read_only

# The filter is always there, and rows.customers says for whom which rows are shown:
# without the claim, none.
statement.filter contains {"table": "public.customers", "where": "data.policy.branch_office.rows.customers"}

rows.customers if input.row.city == input.identity.claims.city

rows.customers if identity.in_group("auditors")

# What does not depend on the caller can be written as data.
statement.filter contains {"table": "public.tickets", "where": {"column": "status", "in": ["open", "waiting"]}}

statement.limits.rows := 500
