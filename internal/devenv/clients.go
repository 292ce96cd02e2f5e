package devenv

// Names that the shipped bindings and policies refer to.
const (
	Connection = "prod-replica"
	IssuerName = "entra-contoso"
)

// unregistered is the client that sallyport.yaml does not know.
const unregistered = "stranger"

// about says what each of the DefaultClients is for.
var about = map[string]string{
	"schema-agent":  "compares schemas: sees the catalog and no data, in a window it asks for",
	"support-agent": "answers tickets: reads customers masked, changes rows when somebody approves",
	"data-fixer":    "repairs data",
	"stranger":      "a workload that nobody has registered",
	"alice":         "a person, on call: approves windows and statements",
	"bob":           "a person, leads support: approves statements",
}

// workload is an entry of the registry in sallyport.yaml.
type workload struct{ Subject, Name, Owner, Kind string }

// registry lists the clients that sallyport.yaml knows.
func registry(clients []Client) []workload {
	var known []workload
	for _, c := range clients {
		if c.ID != unregistered {
			known = append(known, workload{Subject: c.ID, Name: c.ID, Owner: "development", Kind: c.Kind})
		}
	}
	return known
}
