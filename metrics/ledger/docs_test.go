package ledger

import (
	"reflect"
	"strings"
	"testing"
)

// TestEveryFieldIsExplained: docs/usage.md is the contract of the row format.
func TestEveryFieldIsExplained(t *testing.T) {
	doc := text(t, "../../docs/usage.md")
	_, rows, _ := strings.Cut(doc, "## Rows")
	for _, typ := range []reflect.Type{reflect.TypeFor[Row](), reflect.TypeFor[Totals]()} {
		for i := range typ.NumField() {
			name, _, _ := strings.Cut(typ.Field(i).Tag.Get("json"), ",")
			if where := map[bool]string{true: rows, false: doc}[typ == reflect.TypeFor[Row]()]; !strings.Contains(where, "`"+name+"`") {
				t.Errorf("%s of %s is not explained", name, typ)
			}
		}
	}
	for _, kind := range []Kind{KindAttempt, KindRequest, KindStart, KindStop, KindConfig, KindOperator, KindCredential, KindBudget} {
		if !strings.Contains(rows, "`"+string(kind)+"`") {
			t.Errorf("rows of kind %s are not explained", kind)
		}
	}
}
