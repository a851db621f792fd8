package feed

import (
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestWaitGrowsFromOneSecondToFiveMinutes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := newJournal()
		c := &reader{name: "c", fail: func(int) error { return errAway }}
		_, stop := start(t, j, c, Options{})
		j.add(1)
		time.Sleep(3 * time.Hour)
		stop()
		if len(c.attempts) < 30 {
			t.Fatalf("%d attempts in three hours", len(c.attempts))
		}
		different := map[time.Duration]bool{}
		for i := 1; i < len(c.attempts); i++ {
			wait := c.attempts[i].Sub(c.attempts[i-1])
			least := min(time.Second<<min(i-1, 20), 150*time.Second)
			if wait < least || wait > 2*least || wait > 5*time.Minute {
				t.Errorf("wait %d is %v, want %v to %v", i, wait, least, 2*least)
			}
			different[wait/least] = true
			different[wait] = true
		}
		if len(different) < 20 {
			t.Error("the waits have no chance in them: many gateways would knock together")
		}
	})
}

type partError struct{ progress bool }

func (partError) Error() string    { return "not all" }
func (e partError) Progress() bool { return e.progress }

func TestWaitBeginsAnewAfterProgress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := newJournal()
		c := &reader{name: "c", fail: func(n int) error { return fmt.Errorf("writing: %w", partError{n%2 == 1 && n < 20}) }}
		_, stop := start(t, j, c, Options{})
		j.add(1)
		time.Sleep(time.Hour)
		stop()
		for i := 1; i < 20; i++ { // every other attempt gets on
			if wait := c.attempts[i].Sub(c.attempts[i-1]); wait > 4*time.Second {
				t.Errorf("wait %d is %v, although something was taken", i, wait)
			}
		}
		if last := len(c.attempts) - 1; c.attempts[last].Sub(c.attempts[last-1]) < 2*time.Minute {
			t.Error("without progress the waits do not grow")
		}
	})
}

type askError struct{ d time.Duration }

func (askError) Error() string               { return "come later" }
func (e askError) RetryAfter() time.Duration { return e.d }

func TestRetryAfterIsHonoured(t *testing.T) {
	for _, c := range []struct{ ask, least, most time.Duration }{
		{17 * time.Second, 17 * time.Second, 19 * time.Second},
		{10 * time.Minute, 10 * time.Minute, 11 * time.Minute},
		{240 * time.Hour, time.Hour, 67 * time.Minute}, // a broken server does not stop deliveries for days
		{0, time.Second, 2 * time.Second},
		{-time.Hour, time.Second, 2 * time.Second},
	} {
		err := fmt.Errorf("writing: %w", askError{c.ask})
		for range 100 {
			if got := WaitAfter(err, 0); got < c.least || got > c.most {
				t.Errorf("asked for %v: wait %v, want %v to %v", c.ask, got, c.least, c.most)
			}
		}
	}
}

type personError struct{}

func (personError) Error() string { return "401" }
func (personError) Hint() string  { return "check the token" }

func TestLogHasFirstFailureRecoveryAndALineAMinuteBetween(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j, l := newJournal(), &lines{}
		var away atomic.Bool
		away.Store(true)
		c := &reader{name: "c", fail: func(int) error {
			if away.Load() {
				return askError{time.Second}
			}
			return nil
		}}
		_, stop := start(t, j, c, Options{Log: l.logger()})
		j.add(1)
		settle()
		if got := l.with("level=WARN"); len(got) != 1 {
			t.Fatalf("after the first failure: %q", got)
		}
		time.Sleep(10*time.Minute + time.Second)
		if got := l.with("come later"); len(got) < 9 || len(got) > 11 {
			t.Errorf("%d lines in ten minutes, want about 10", len(got))
		}
		away.Store(false)
		time.Sleep(2 * time.Minute)
		if got := l.with("delivered again"); len(got) != 1 {
			t.Errorf("recovery: %q", got)
		}
		stop()
	})
}

func TestFlappingDoesNotFillTheLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j, l := newJournal(), &lines{}
		c := &reader{name: "c", fail: func(n int) error {
			if n%2 == 0 {
				return errAway
			}
			return nil
		}}
		_, stop := start(t, j, c, Options{Log: l.logger()})
		for range 300 {
			j.add(1)
			time.Sleep(2 * time.Second)
		}
		stop()
		if n := len(l.with("")); n > 22 {
			t.Errorf("%d lines in ten minutes of every second delivery failing", n)
		}
	})
}

func TestWhatNeedsAPersonIsLoggedAsAnErrorWithTheHint(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j, l := newJournal(), &lines{}
		_, stop := start(t, j, &reader{name: "c", fail: func(int) error { return personError{} }}, Options{Log: l.logger()})
		j.add(1)
		settle()
		stop()
		if got := l.with(`hint="check the token"`); len(got) != 1 || len(l.with("level=ERROR")) != 1 {
			t.Errorf("log: %q", got)
		}
	})
}
