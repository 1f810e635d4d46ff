package bedrock

import "testing"

func TestControlPlane(t *testing.T) {
	for _, c := range []struct{ endpoint, region, want string }{
		{"", "us-west-2", "https://bedrock.us-west-2.amazonaws.com"},
		{"", "us-gov-west-1", "https://bedrock.us-gov-west-1.amazonaws.com"},
		{"", "cn-north-1", "https://bedrock.cn-north-1.amazonaws.com.cn"},
		{"https://bedrock-runtime.eu-west-1.amazonaws.com", "eu-west-1", "https://bedrock.eu-west-1.amazonaws.com"},
		{"https://bedrock-runtime-fips.us-east-1.amazonaws.com", "us-east-1", "https://bedrock-fips.us-east-1.amazonaws.com"},
		{"http://127.0.0.1:4566/aws", "us-east-1", "http://127.0.0.1:4566/aws"},
	} {
		if got, err := controlPlane(c.endpoint, c.region); err != nil || got.String() != c.want {
			t.Errorf("%q in %s: got %v, %v, want %s", c.endpoint, c.region, got, err, c.want)
		}
	}
}
