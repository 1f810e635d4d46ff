package ledger

import (
	"sync"
	"testing"
	"time"
	_ "time/tzdata" // whatever the machine has
)

func TestADayOfSpending(t *testing.T) {
	now := time.Date(2026, 3, 14, 22, 0, 0, 0, time.Local)
	l := New(func() time.Time { return now })
	l.Add(3, "", "provider a")
	l.Add(1.5, "", "provider b")
	if l.Spent("") != 4.5 || l.Spent("provider a") != 3 || l.Spent("nobody") != 0 {
		t.Errorf("spent %v, %v, %v", l.Spent(""), l.Spent("provider a"), l.Spent("nobody"))
	}
	if d := l.UntilMidnight(); d != 2*time.Hour {
		t.Errorf("until midnight %v", d)
	}
	now = now.Add(2 * time.Hour)
	if l.Spent("") != 0 {
		t.Errorf("the next day begins with %v", l.Spent(""))
	}
}

func TestCrossedIsToldOnce(t *testing.T) {
	now := time.Date(2026, 3, 14, 12, 0, 0, 0, time.Local)
	l := New(func() time.Time { return now })
	crossed := func(part float64) bool { return l.Crossed("a", 10, part) }
	if crossed(0.8) {
		t.Error("told with nothing spent")
	}
	l.Add(8, "a")
	if !crossed(0.8) || crossed(0.8) || crossed(1) {
		t.Error("80 % must be told once")
	}
	l.Add(2, "a")
	if !crossed(1) || crossed(0.8) || crossed(1) {
		t.Error("100 % must be told once, and 80 % no more")
	}
	now = now.AddDate(0, 0, 1)
	l.Add(9, "a")
	if !crossed(0.8) {
		t.Error("a new day is told anew")
	}
	if l.Crossed("b", 0, 1) {
		t.Error("no limit is crossed")
	}
}

func TestMidnightWhenClocksChange(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	for day, want := range map[time.Time]time.Duration{
		time.Date(2026, 3, 29, 0, 0, 0, 0, berlin):  23 * time.Hour,
		time.Date(2026, 10, 25, 0, 0, 0, 0, berlin): 25 * time.Hour,
		time.Date(2026, 6, 1, 0, 0, 0, 0, berlin):   24 * time.Hour,
	} {
		if got := New(func() time.Time { return day }).UntilMidnight(); got != want {
			t.Errorf("%v lasts %v, want %v", day, got, want)
		}
	}
}

// In some places clocks change at midnight: then a day begins at one o'clock, or
// has two midnights.
func TestDaysWithoutMidnight(t *testing.T) {
	for _, tt := range []struct {
		zone, now string // local, with its offset
		want      time.Duration
	}{
		{"America/Havana", "2026-03-07T22:00:00-05:00", 2 * time.Hour}, // 0 o'clock is skipped
		{"America/Havana", "2026-03-07T23:30:00-05:00", 30 * time.Minute},
		{"America/Havana", "2026-03-08T01:00:00-04:00", 23 * time.Hour},
		{"America/Havana", "2026-10-31T23:00:00-04:00", time.Hour}, // 0 o'clock comes twice
		{"America/Havana", "2026-11-01T00:30:00-04:00", 24*time.Hour + 30*time.Minute},
		{"America/Havana", "2026-11-01T00:30:00-05:00", 23*time.Hour + 30*time.Minute},
		{"America/Santiago", "2026-09-05T23:59:00-04:00", time.Minute},
		{"Africa/Cairo", "2026-04-23T23:00:00+02:00", time.Hour},
		{"Africa/Cairo", "2026-10-29T23:30:00+03:00", 90 * time.Minute}, // 23 o'clock comes twice
		{"Australia/Lord_Howe", "2026-04-05T00:00:00+11:00", 24*time.Hour + 30*time.Minute},
	} {
		zone, err := time.LoadLocation(tt.zone)
		if err != nil {
			t.Fatal(err)
		}
		now, err := time.Parse(time.RFC3339, tt.now)
		if err != nil {
			t.Fatal(err)
		}
		now = now.In(zone)
		l := New(func() time.Time { return now })
		if got := l.UntilMidnight(); got != tt.want {
			t.Errorf("%s in %s: %v until midnight, want %v", tt.now, tt.zone, got, tt.want)
		}
		l.Add(1, "a")
		month := now.Month()
		if now = now.Add(tt.want - time.Second); l.Spent("a") != 1 || l.Month("a") != 1 {
			t.Errorf("%s in %s: the day ends too early", tt.now, tt.zone)
		}
		if now = now.Add(time.Second); l.Spent("a") != 0 || l.Month("a") != 0 != (now.Month() == month) {
			t.Errorf("%s in %s: the day does not end, or the month does: $%v", tt.now, tt.zone, l.Month("a"))
		}
	}
}

func TestPace(t *testing.T) {
	now := time.Date(2026, 3, 14, 23, 0, 0, 0, time.UTC)
	l := New(func() time.Time { return now })
	if l.PerHour("a") != 0 {
		t.Error("a pace without a charge")
	}
	spend := func(minutes int, each float64) {
		for range minutes {
			l.Add(each, "a")
			now = now.Add(time.Minute)
		}
	}
	spend(1, 0.1)
	for _, minutes := range []int{5, 30, 180} { // over midnight
		if spend(minutes, 0.1); l.PerHour("a") < 5.5 || l.PerHour("a") > 7 {
			t.Errorf("$%.2f an hour after %d more minutes, want about $6", l.PerHour("a"), minutes)
		}
	}
	if spend(60, 0); l.PerHour("a") > 0.2 {
		t.Errorf("$%.2f an hour after an hour without a charge", l.PerHour("a"))
	}
}

func TestConcurrentUse(t *testing.T) {
	l := New(time.Now)
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() { l.Add(1, "a"); l.Crossed("a", 50, 1); l.Spent("a") })
	}
	wg.Wait()
	if l.Spent("a") != 50 {
		t.Errorf("spent %v", l.Spent("a"))
	}
}

func TestWhatIsNotKnownIsCounted(t *testing.T) {
	now := time.Date(2026, 3, 14, 23, 0, 0, 0, time.UTC)
	l := New(func() time.Time { return now })
	l.CountUnpriced(Accounts("a", "ci")...)
	l.CountUnpriced(Accounts("a", "")...)
	if l.Unpriced(Everybody) != 2 || l.Unpriced(KeyAccount("ci")) != 1 || l.Unpriced(ProviderAccount("b")) != 0 {
		t.Errorf("%d, %d, %d", l.Unpriced(Everybody), l.Unpriced(KeyAccount("ci")), l.Unpriced(ProviderAccount("b")))
	}
	if now = now.Add(time.Hour); l.Unpriced(Everybody) != 0 {
		t.Errorf("the next day begins with %d", l.Unpriced(Everybody))
	}
}
