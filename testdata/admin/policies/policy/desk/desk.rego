package policy.desk

import data.sallyport.identity
import data.sallyport.sql

session.allow if identity.known_workload

statement.allow if sql.read_only
