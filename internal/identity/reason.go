package identity

// Reason says why a token is not accepted. The set is closed: metrics, audit records and tests may rely on it.
type Reason string

const (
	ReasonMissing         Reason = "missing"               // no token at all
	ReasonTooLarge        Reason = "too_large"             // more bytes than any issuer of ours sends
	ReasonMalformed       Reason = "malformed"             // not a compact signed JWT
	ReasonAmbiguous       Reason = "ambiguous"             // a name occurs twice, or in another case than the one that counts
	ReasonIssuerUnknown   Reason = "issuer_unknown"        // no configured issuer has exactly this iss
	ReasonAlgorithm       Reason = "algorithm_not_allowed" // not signed with an algorithm allowed for the issuer
	ReasonType            Reason = "type_not_allowed"      // typ says that it is something else than an access token
	ReasonKeysUnavailable Reason = "keys_unavailable"      // the issuer's keys were never had, or are too old to be trusted
	ReasonKeyUnknown      Reason = "key_unknown"           // the issuer publishes no key of this id
	ReasonSignature       Reason = "signature_invalid"     // the issuer did not sign this
	ReasonClaimMissing    Reason = "claim_missing"         // a claim that is needed is not there
	ReasonClaimInvalid    Reason = "claim_invalid"         // a claim that is needed has an impossible value
	ReasonAudience        Reason = "audience_mismatch"     // made for somebody else
	ReasonTenant          Reason = "tenant_mismatch"       // of another tenant than the issuer's
	ReasonParty           Reason = "party_not_allowed"     // asked for by a client that is not on the list
	ReasonNotApp          Reason = "not_an_app"            // only application tokens are let in here
	ReasonExpired         Reason = "expired"
	ReasonNotYetValid     Reason = "not_yet_valid"
	ReasonIssuedInFuture  Reason = "issued_in_future"
	ReasonLifetime        Reason = "lifetime_too_long"
	ReasonTooOld          Reason = "too_old"
)

// Error is a token refused. Its message is written for whoever presented the token: it says what is wrong and what to do, and
// holds nothing of the token. What happened underneath (a connection refused by the issuer, say) is in Unwrap, for operators.
type Error struct {
	Reason  Reason
	Message string
	cause   error
}

func (e *Error) Error() string { return e.Message }

func (e *Error) Unwrap() error { return e.cause }

// Retryable reports whether the same token may be accepted a little later.
func (e *Error) Retryable() bool {
	switch e.Reason {
	case ReasonKeysUnavailable, ReasonKeyUnknown, ReasonNotYetValid, ReasonIssuedInFuture:
		return true
	default:
		return false
	}
}

func refuse(r Reason, message string) error { return &Error{Reason: r, Message: message} }

func missing(claim string) error {
	return refuse(ReasonClaimMissing, "the token has no "+claim+" claim, which is needed here; ask your identity provider to include it")
}

func invalid(claim, why string) error {
	return refuse(ReasonClaimInvalid, "the "+claim+" claim of the token "+why+"; ask your identity provider for a correct token")
}
