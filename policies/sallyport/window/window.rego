# METADATA
# title: The window
# description: |
#   Whether the caller may reach data at all at this moment, and what to do where
#   it may not. The proxy enforces the time a window ends by its own clock as well.
# schemas:
#   - input: schema.input
package sallyport.window

import data.sallyport.bindings

# METADATA
# scope: document
# description: Why the window is closed; undefined while it is open.
closed := bindings.unselected if {
	bindings.unselected
} else := {
	"message": object.get(said, state, $"no access window is open on {input.connection.name}"),
	"hint": object.get(advice, state, ask),
	"rule": "sallyport/window",
} if {
	not open
} else := {"message": "no access window is open", "rule": "sallyport/window"} if {
	not open # never silent, whatever could not be told above
}

open if bindings.binding.grant == "standing"

open if {
	bindings.binding
	input.grant.state == "active"
}

default state := "none"

state := input.grant.state

said := {
	"requested": "the access window has been asked for and is not open yet",
	"pending": "the access window waits for somebody to approve it",
	"refused": "the access window was refused",
	"expired": "the access window has closed",
	"revoked": "the access window was revoked",
	"ended": "the access window has ended",
}

advice := {
	"requested": "try again once it is open",
	"pending": "try again once it is approved",
}

ask := $"ask for a window of at most {object.get(bindings.binding, "ttl", "any length")}: SELECT sallyport.request('why you need it')"
