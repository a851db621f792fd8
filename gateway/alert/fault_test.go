package alert

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"pilewatch/devices"
	"pilewatch/gateway/alert/channel"
	"pilewatch/gateway/ledger"
)

func TestAChannelThatIsDownForAnHourIsToldAllInOneAndDelaysNobody(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		dead, alive := &phone{}, &phone{}
		dead.down(errAway)
		w.start(channelOf("dead", dead), channelOf("alive", alive))
		var fs []*ledger.Flag
		for n := range 30 {
			f := newFlag(fmt.Sprintf("f%02d", n), at(fmt.Sprintf("P%02d", n%9), uint8(n)))
			fs = append(fs, f)
			w.say(f)
			wait(2 * time.Minute)
			if n%3 == 0 {
				w.say(cleared(f))
			}
			wait(time.Second)
		}
		if n := len(alive.told()); n != 40 {
			t.Errorf("the other was told %d times", n)
		}
		s := w.alerts.States()
		if s[0].Waiting == 0 || s[0].Error != errAway.Error() || s[0].Failing == 0 || s[1].Waiting != 0 || s[1].Error != "" {
			t.Errorf("states %+v", s)
		}
		dead.down(nil)
		wait(6 * time.Minute)
		told := dead.told()
		if len(told) > 2 {
			t.Errorf("%d messages after the outage: %q", len(told), told)
		}
		for _, f := range fs {
			if !strings.Contains(strings.Join(told, "\n"), f.ID) {
				t.Errorf("%s is lost", f.ID)
			}
		}
		if s := w.alerts.States()[0]; s.Waiting != 0 || s.Error != "" || s.Failing != 0 {
			t.Errorf("after the outage: %+v", s)
		}
		if n := strings.Count(w.said(), "not delivered"); n < 5 || n > 62 {
			t.Errorf("%d lines of log in an hour", n)
		}
	})
}

func TestWaitsGrowFromSecondsToFiveMinutesAndARateLimitIsKept(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		p := &phone{}
		p.down(errors.New("500 Internal Server Error"))
		w.start(channelOf("office", p))
		w.say(newFlag("f1"))
		wait(30 * time.Minute)
		p.mu.Lock()
		first, n := p.tries[1].Sub(p.tries[0]), len(p.tries)
		last := p.tries[n-1].Sub(p.tries[n-2])
		p.mu.Unlock()
		if first > 5*time.Second || last > 5*time.Minute || last < 2*time.Minute || n > 20 {
			t.Errorf("%d tries, first wait %v, last %v", n, first, last)
		}
		p.down(fmt.Errorf("robot: %w", &channel.RetryError{After: 20 * time.Minute, Err: errors.New("rate limited")}))
		wait(5 * time.Minute)
		n = p.attempts()
		wait(14 * time.Minute)
		p.down(nil)
		if now := p.attempts(); now != n {
			t.Errorf("it did not wait: %d tries, then %d", n, now)
		}
		wait(10 * time.Minute)
		want(t, p, "raised f1")
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.counts["office 0"] != 1 || w.counts["office 1"] != n || w.counts["office 2"] != 0 {
			t.Errorf("counts %v", w.counts)
		}
	})
}

func TestWhatIsRefusedForGoodIsGivenUpAndNothingElse(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		p := &phone{}
		p.down(&channel.PermanentError{Err: errors.New("40035: no such\nmessage type")})
		w.start(channelOf("office", p))
		w.say(newFlag("f1"))
		wait(time.Second)
		p.down(nil)
		w.say(newFlag("f2", at("P01", 3)))
		wait(time.Hour)
		want(t, p, "raised f2")
		s := w.alerts.States()[0]
		w.mu.Lock()
		defer w.mu.Unlock()
		if s.Refused != 1 || s.LastRefusal != "40035: no such message type" || s.Waiting != 0 || w.counts["office 2"] != 1 {
			t.Errorf("state %+v, counts %v", s, w.counts)
		}
		ds, err := w.ledger.DeliveriesOf(t.Context(), "f1")
		if err != nil || len(ds) != 1 || ds[0].State != ledger.DeliveryRefused || ds[0].Attempts != 1 || ds[0].Error == "" {
			t.Errorf("kept %+v, %v", ds, err)
		}
	})
}

func TestOrderIsKeptForEachFlagHoweverTheChannelFails(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		p := &phone{slow: 3 * time.Second, fail: func(n int) error {
			if n%3 != 2 {
				return errAway
			}
			return nil
		}}
		w.start(channelOf("office", p))
		for n := range 20 {
			f := newFlag(fmt.Sprint("f", n), at(fmt.Sprint("P", n), 1))
			w.say(f)
			wait(7 * time.Second)
			w.say(cleared(f))
			wait(20 * time.Second)
		}
		wait(10 * time.Minute)
		open, over := map[string]int{}, map[string]int{}
		p.mu.Lock()
		defer p.mu.Unlock()
		ids := map[string]bool{}
		for i, m := range p.got {
			if ids[m.DeliveryID] {
				t.Errorf("%s came twice", m.DeliveryID)
			}
			ids[m.DeliveryID] = true
			for _, f := range m.Flags {
				if m.Kind == channel.Raised {
					open[f.ID] = i
				}
				if f.ClearedAt != 0 {
					over[f.ID] = i
				}
			}
		}
		for n := range 20 {
			id := fmt.Sprint("f", n)
			if at, ok := over[id]; !ok || at < open[id] {
				t.Errorf("%s: over at %d (%v), raised at %d", id, at, ok, open[id])
			}
		}
	})
}

func TestAnAnswerThatIsLostMakesOneRepeatWithTheSameID(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		p := &phone{}
		p.fail = func(n int) error {
			if n == 0 {
				return errors.New("EOF")
			}
			return nil
		}
		w.start(channelOf("office", p))
		w.say(newFlag("f1"))
		wait(time.Second)
		w.say(newFlag("f2", at("P03", 9))) // it does not join what was sent already
		wait(10 * time.Second)
		want(t, p, "raised f1", "raised f2")
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.all[0].DeliveryID != p.all[1].DeliveryID || p.all[1].DeliveryID == p.all[2].DeliveryID {
			t.Errorf("delivery ids %s, %s, %s", p.all[0].DeliveryID, p.all[1].DeliveryID, p.all[2].DeliveryID)
		}
	})
}

func TestARestartGoesOnAndRepeatsNothing(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		p := &phone{}
		w.start(channelOf("office", p))
		w.say(newFlag("f1"))
		wait(time.Second)
		w.stop()
		f := newFlag("f2", at("P01", 1))
		w.say(f) // while nobody listens
		w.close()
		w.open()
		wait(10 * time.Second)
		w.start(channelOf("office", p))
		wait(2 * time.Second)
		want(t, p, "raised f1", "raised f2")
		w.say(cleared(f))
		wait(time.Second)
		want(t, p, "raised f1", "raised f2", "cleared f2")
	})
}

func TestStoppingLetsWhatIsUnderWayEndForThreeSeconds(t *testing.T) {
	for slow, told := range map[time.Duration]int{2 * time.Second: 1, time.Minute: 0} {
		bubble(t, func(t *testing.T, w *world) {
			p := &phone{slow: slow}
			w.start(channelOf("office", p))
			w.say(newFlag("f1"))
			wait(1500 * time.Millisecond)
			began := time.Now()
			w.stop()
			if d := time.Since(began); d > 4*time.Second {
				t.Errorf("stopping took %v", d)
			}
			p.mu.Lock()
			p.slow = 0
			p.mu.Unlock()
			w.start(channelOf("office", p))
			wait(10 * time.Second)
			want(t, p, "raised f1")
			if n := p.attempts(); n != 2-told {
				t.Errorf("slow %v: sent %d times", slow, n)
			}
		})
	}
}

// full is a ledger that for a while can't keep what came of a message.
type full struct {
	Ledger
	left int
}

func (l *full) SaveDeliveries(ctx context.Context, ds ...ledger.Delivery) error {
	if ds[0].State == ledger.DeliverySent && l.left > 0 {
		l.left--
		return errors.New("disk full")
	}
	return l.Ledger.SaveDeliveries(ctx, ds...)
}

func TestAFullDiskRepeatsNoMessage(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		p := &phone{}
		w.start(channelOf("office", p))
		w.alerts.couriers[0].nudge()
		wait(time.Second)
		w.stop()
		l := &full{w.ledger, 5}
		d := New(l, []Channel{channelOf("office", p)}, options(w))
		if err := l.Announce(t.Context(), d.couriers[0].stepOf(&ledger.Entry{Flag: newFlag("f1"), Received: devices.MillisOf(time.Now())})); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
		defer cancel()
		d.Run(ctx)
		if p.attempts() != 1 || l.left != 0 {
			t.Errorf("sent %d times, %d failures left", p.attempts(), l.left)
		}
	})
}
