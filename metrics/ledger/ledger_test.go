package ledger

import (
	"sync"
	"testing"
	"time"
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
		t.Skip("no time zones here")
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
