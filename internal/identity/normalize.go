package identity

import (
	"slices"
	"strings"
)

// Entra's numbers for what an actor or a subject is.
const (
	facetAgentIdentity = "11"
	facetAgentUser     = "13"
)

// principal says who the bearer of checked claims is. The registry is asked last, because it may decide the kind.
func (i *issuer) principal(c claims, s span) (*Principal, error) {
	p := &Principal{
		Issuer: i.config.Name, IssuedAt: s.issuedAt, ExpiresAt: s.until, GroupsComplete: !groupsOverflowed(c), Claims: c,
	}
	if err := i.readSubject(p, c); err != nil {
		return nil, err
	}
	var err error
	if p.Groups, err = c.list(i.config.Claims.Groups); err != nil {
		return nil, err
	}
	if p.Roles, err = c.list(i.config.Claims.Roles); err != nil {
		return nil, err
	}
	if p.Scopes, err = i.scopes(c); err != nil {
		return nil, err
	}
	if p.TokenID, err = c.first(i.preset.tokenID); err != nil {
		return nil, err
	}
	// A display name in an odd form is no reason to refuse.
	p.DisplayName, _ = c.text(i.config.Claims.Name)
	return p, nil
}

func (i *issuer) readSubject(p *Principal, c claims) (err error) {
	name := i.config.Claims.Subject
	if p.Subject, err = c.text(name); err != nil {
		return err
	}
	if strings.TrimSpace(p.Subject) == "" {
		return missing(name)
	}
	if !strings.HasPrefix(p.Subject, i.preset.subjectHas) {
		return invalid(name, "does not start with "+i.preset.subjectHas)
	}
	p.IssuerURL, _ = c["iss"].(string)
	p.Tenant = i.config.Tenant // checkTenant has compared it
	p.Kind = i.preset.kind(c)
	return i.readActor(p, c)
}

// readActor turns a delegated token around: the principal is the software that acts, and the person is only on whose behalf. A
// person's groups in such a token stay visible, but the kind says that nobody human is at the keyboard.
func (i *issuer) readActor(p *Principal, c claims) error {
	if i.config.Preset == "entra" {
		return i.readEntraActor(p, c)
	}
	act, present := c["act"]
	if !present {
		return nil
	}
	actor, _ := act.(map[string]any)
	subject, err := claims(actor).text("sub")
	if err != nil {
		return err
	}
	if subject == "" {
		return invalid("act", "names no actor")
	}
	p.OnBehalfOf = &OnBehalfOf{Subject: p.Subject}
	p.Subject, p.Kind = subject, KindWorkload
	return nil
}

func (i *issuer) readEntraActor(p *Principal, c claims) error {
	switch {
	case c.numbers("xms_sub_fct")[facetAgentUser]:
		p.Kind = KindWorkload // a user account, but an agent's
	case c.numbers("xms_act_fct")[facetAgentIdentity] && p.Kind != KindWorkload:
		agent, err := c.first(i.preset.party)
		if err != nil {
			return err
		}
		if agent == "" {
			return missing(i.preset.party[0])
		}
		p.OnBehalfOf = &OnBehalfOf{Subject: p.Subject}
		p.OnBehalfOf.Name, _ = c.text(i.config.Claims.Name)
		p.Subject, p.Kind = agent, KindWorkload
	}
	return nil
}

// scopes reads one string of words or a list.
func (i *issuer) scopes(c claims) ([]string, error) {
	for _, name := range i.preset.scopes {
		list, err := c.list(name)
		if err != nil {
			return nil, err
		}
		if len(list) == 1 {
			list = strings.Fields(list[0])
		}
		if len(list) > 0 {
			return list, nil
		}
	}
	return []string{}, nil
}

// groupsOverflowed reports Entra's sign that the groups did not fit. The address it gives for fetching them is never followed.
func groupsOverflowed(c claims) bool {
	elsewhere, _ := c["_claim_names"].(map[string]any)
	_, overflowed := elsewhere["groups"]
	return overflowed || c["hasgroups"] != nil
}

func kindFromIdtyp(c claims) string {
	switch c["idtyp"] {
	case "app":
		return KindWorkload
	case "user":
		return KindUser
	default:
		return ""
	}
}

// kindOfEntra: a token with delegated scopes has a person behind it, also where idtyp is not emitted.
func kindOfEntra(c claims) string {
	if c["scp"] != nil {
		return KindUser
	}
	return kindFromIdtyp(c)
}

func kindOfOkta(c claims) string {
	if c["cid"] != nil && c["uid"] == nil {
		return KindWorkload
	}
	return KindUser
}

func kindOfGoogle(c claims) string {
	email, _ := c["email"].(string)
	if c["email_verified"] == true && strings.HasSuffix(email, ".gserviceaccount.com") {
		return KindWorkload
	}
	return KindUser
}

// registry is the known identities by issuer name and subject.
type registry map[[2]string]Workload

func newRegistry(workloads []Workload) registry {
	r := registry{}
	for _, w := range workloads {
		if w.Kind == "" {
			w.Kind = KindWorkload
		}
		r[[2]string{w.Issuer, w.Subject}] = w
	}
	return r
}

// identify fills in what is registered. An entry counts only under its kind: a person's token never passes for a workload, nor
// the other way round. Where neither token, registry nor configuration says the kind it is a workload that nobody knows: what a
// person may do, approve above all, takes a sign that there is a person.
func (r registry) identify(p *Principal, configured string) {
	entry, listed := r[[2]string{p.Issuer, p.Subject}]
	if p.Kind == "" && listed && configured == "" {
		p.Kind = entry.Kind
	}
	if p.Kind == "" {
		p.Kind = configured
	}
	if !slices.Contains([]string{KindWorkload, KindUser}, p.Kind) {
		p.Kind = KindWorkload
	}
	if listed && entry.Kind == p.Kind {
		p.Known, p.Name, p.Owner = true, entry.Name, entry.Owner
	}
}
