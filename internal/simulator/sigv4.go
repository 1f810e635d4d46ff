package simulator

import (
	"cmp"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// AWS is the account in whose name requests are taken. It checks signatures as
// the service does, by making them once more (Signature Version 4,
// docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html).
type AWS struct {
	Region string
	// Keys gives the secret and the session token of an access key; expired
	// ones are known and refused.
	Keys func(accessKeyID string) (key AWSKey, known bool)
	// APIKey is a bearer token that is taken in place of a signature; "" = none.
	APIKey string
}

// AWSKey belongs to an access key's id.
type AWSKey struct {
	Secret, Token string // Token is "" for a lasting key
	Expired       bool
}

// maxSkew is how far the clock of who signs may be off.
const maxSkew = 5 * time.Minute

// check tells what is wrong with a request's credentials; status 0 = nothing.
func (a *AWS) check(r *http.Request, body []byte) (status int, exception, message string) {
	authorization := r.Header.Get("Authorization")
	if token, ok := strings.CutPrefix(authorization, "Bearer "); ok && (a == nil || a.APIKey != "" && token == a.APIKey) {
		return 0, "", ""
	}
	refuse := func(exception, format string, args ...any) (int, string, string) {
		return http.StatusForbidden, exception, fmt.Sprintf(format, args...)
	}
	s, ok := readSignature(authorization)
	switch {
	case authorization == "":
		return refuse("MissingAuthenticationTokenException", "Missing Authentication Token")
	case !ok || a == nil:
		return refuse("IncompleteSignatureException", "Authorization header is not a signature")
	}
	key, known := a.Keys(s.keyID)
	at, err := time.Parse("20060102T150405Z", r.Header.Get("X-Amz-Date"))
	switch skew := time.Since(at); {
	case !known || r.Header.Get("X-Amz-Security-Token") != key.Token:
		return refuse("UnrecognizedClientException", "The security token included in the request is invalid.")
	case key.Expired:
		return refuse("ExpiredTokenException", "The security token included in the request is expired")
	case s.region != a.Region:
		return refuse("InvalidSignatureException", "Credential should be scoped to a valid region. ")
	case s.service != "bedrock":
		return refuse("InvalidSignatureException", "Credential should be scoped to correct service: 'bedrock'. ")
	case err != nil || at.Format("20060102") != s.date || skew > maxSkew || skew < -maxSkew:
		return refuse("InvalidSignatureException", "Signature expired: %s is not now", r.Header.Get("X-Amz-Date"))
	case !slices.Contains(s.signed, "host") || !slices.Contains(s.signed, "x-amz-date") || key.Token != "" && !slices.Contains(s.signed, "x-amz-security-token"):
		return refuse("InvalidSignatureException", "'Host', 'X-Amz-Date' and the token must be signed")
	}
	canonical := canonicalRequest(r, s.signed, body)
	if want := s.signature(key.Secret, r.Header.Get("X-Amz-Date"), canonical); want != s.hash {
		return refuse("InvalidSignatureException", "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key "+
			"and signing method. Consult the service documentation for details.\n\nThe Canonical String for this request should have been\n'%s'\n", canonical)
	}
	return 0, "", ""
}

// signature is an Authorization header.
type signature struct {
	keyID, date, region, service string
	signed                       []string
	hash                         string
}

func readSignature(authorization string) (s signature, ok bool) {
	rest, ok := strings.CutPrefix(authorization, "AWS4-HMAC-SHA256 ")
	if !ok {
		return s, false
	}
	for part := range strings.SplitSeq(rest, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		switch name {
		case "Credential":
			if scope := strings.Split(value, "/"); len(scope) == 5 && scope[4] == "aws4_request" {
				s.keyID, s.date, s.region, s.service = scope[0], scope[1], scope[2], scope[3]
			}
		case "SignedHeaders":
			s.signed = strings.Split(value, ";")
		case "Signature":
			s.hash = value
		}
	}
	return s, s.keyID != "" && s.hash != "" && slices.IsSorted(s.signed)
}

// signature makes the hash that s must have.
func (s signature) signature(secret, date, canonical string) string {
	scope := strings.Join([]string{s.date, s.region, s.service, "aws4_request"}, "/")
	text := strings.Join([]string{"AWS4-HMAC-SHA256", date, scope, hexHash([]byte(canonical))}, "\n")
	key := []byte("AWS4" + secret)
	for _, part := range []string{s.date, s.region, s.service, "aws4_request", text} {
		h := hmac.New(sha256.New, key)
		h.Write([]byte(part))
		key = h.Sum(nil)
	}
	return hex.EncodeToString(key)
}

// canonicalRequest is the text that is signed. The path, which came escaped, is
// escaped once more.
func canonicalRequest(r *http.Request, signed []string, body []byte) string {
	path, query, _ := strings.Cut(r.RequestURI, "?")
	segments := strings.Split(path, "/")
	for i, s := range segments {
		segments[i] = escapeAll(s)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n%s\n%s\n", r.Method, cmp.Or(strings.Join(segments, "/"), "/"), query)
	for _, name := range signed {
		fmt.Fprintf(&b, "%s:%s\n", name, signedValue(r, name))
	}
	fmt.Fprintf(&b, "\n%s\n%s", strings.Join(signed, ";"), hexHash(body))
	return b.String()
}

// signedValue is the value of a header; net/http keeps two of them elsewhere.
func signedValue(r *http.Request, name string) string {
	switch name {
	case "host":
		return r.Host
	case "content-length":
		return strconv.FormatInt(r.ContentLength, 10)
	}
	values := slices.Clone(r.Header.Values(name))
	for i, v := range values {
		values[i] = strings.Join(strings.Fields(v), " ")
	}
	return strings.Join(values, ",")
}

// escapeAll escapes all but what RFC 3986 calls unreserved.
func escapeAll(s string) string {
	return strings.ReplaceAll(url.QueryEscape(s), "+", "%20")
}

func hexHash(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

func newUUID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand ends the program instead
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
