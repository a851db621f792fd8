package safety

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strings"
	"text/tabwriter"
)

// Scores are how the rules did on traces with labels, beside plain thresholds.
type Scores struct {
	classes map[string]*classScore
	rules   map[string]*ruleScore
	sums    map[string]*classScore // by tier and label
	Misses  []string               // ids of unsafe traces that were not flagged
	False   []string               // ids of normal traces that were
}

// classScore is of one class.
type classScore struct {
	name              string
	label             int
	total, hit, plain int
	minutes           []float64      // from the onset to the first flag
	read              map[string]int // flagged, by suspicion
}

// ruleScore is of one rule: how many unsafe and how many normal traces it flagged.
type ruleScore struct{ unsafe, normal, only int }

// NewScores begins with none.
func NewScores() *Scores {
	return &Scores{classes: map[string]*classScore{}, rules: map[string]*ruleScore{}, sums: map[string]*classScore{}}
}

// Add counts a trace with a label; others are passed over.
func (s *Scores) Add(t *Trace, o *Outcome) {
	if t.Label == nil {
		return
	}
	label, plain := *t.Label, Plain(t)
	kind := "normal"
	if label == 1 {
		kind = "unsafe"
	}
	s.count(s.classes, fmt.Sprintf("%s %s", t.Tier, t.Class), label, t, o, plain)
	s.count(s.sums, fmt.Sprintf("%s, %s", kind, cmp.Or(t.Tier, "all")), label, t, o, plain)
	s.count(s.sums, kind+", all", label, t, o, plain)
	for _, id := range o.Rules {
		r := s.rules[id]
		if r == nil {
			r = &ruleScore{}
			s.rules[id] = r
		}
		if label == 1 {
			r.unsafe++
		} else {
			r.normal++
		}
		if len(o.Rules) == 1 {
			r.only++
		}
	}
	switch {
	case label == 1 && !o.Flagged:
		s.Misses = append(s.Misses, t.ID)
	case label == 0 && o.Flagged:
		s.False = append(s.False, t.ID)
	}
}

func (s *Scores) count(in map[string]*classScore, name string, label int, t *Trace, o *Outcome, plain bool) {
	c := in[fmt.Sprint(label, name)]
	if c == nil {
		c = &classScore{name: name, label: label, read: map[string]int{}}
		in[fmt.Sprint(label, name)] = c
	}
	c.total++
	if plain {
		c.plain++
	}
	if o.Flagged {
		c.hit++
		c.read[o.Suspicion]++
		c.minutes = append(c.minutes, (*o.FirstFlagS-t.OnsetS)/60)
	}
}

// share is how many of the class were flagged.
func (c *classScore) share() float64 { return float64(c.hit) / float64(c.total) }

// median is that of the minutes from the onset to the flag; NaN for none.
func (c *classScore) median() float64 {
	if len(c.minutes) == 0 {
		return math.NaN()
	}
	m := slices.Sorted(slices.Values(c.minutes))
	return (m[(len(m)-1)/2] + m[len(m)/2]) / 2
}

// readAs gives the suspicions, the commonest first.
func (c *classScore) readAs() string {
	all := slices.SortedFunc(maps.Keys(c.read), func(a, b string) int { return cmp.Or(c.read[b]-c.read[a], cmp.Compare(a, b)) })
	for i, s := range all {
		all[i] = fmt.Sprintf("%s %d", s, c.read[s])
	}
	return strings.Join(all, ", ")
}

// Write writes the tables: classes, worst first, then tiers, then rules, then ids.
func (s *Scores) Write(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	for _, part := range []struct {
		head string
		of   map[string]*classScore
	}{{"class", s.classes}, {"all of a kind", s.sums}} {
		fmt.Fprintf(t, "%s\twhat\tflagged\tshare\tplain thresholds\tmedian min\tread as\n", part.head)
		for _, c := range worstFirst(part.of) {
			what, median := "false alarms", ""
			if c.label == 1 {
				what = "recall"
				if c.hit > 0 {
					median = fmt.Sprintf("%.1f", c.median())
				}
			}
			fmt.Fprintf(t, "%s\t%s\t%d/%d\t%.1f %%\t%.1f %%\t%s\t%s\n", c.name, what, c.hit, c.total, 100*c.share(), 100*float64(c.plain)/float64(c.total), median, c.readAs())
		}
		fmt.Fprintln(t)
	}
	fmt.Fprintf(t, "rule\tunsafe\tnormal\tprecision\talone\n")
	for _, id := range slices.Sorted(maps.Keys(s.rules)) {
		r := s.rules[id]
		fmt.Fprintf(t, "%s\t%d\t%d\t%.1f %%\t%d\n", id, r.unsafe, r.normal, 100*float64(r.unsafe)/float64(r.unsafe+r.normal), r.only)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "\nmisses: %v\nfalse alarms: %v\n", s.Misses, s.False)
	return err
}

// worstFirst sorts the classes that were judged worst to the front, the unsafe
// and the normal by themselves.
func worstFirst(of map[string]*classScore) []*classScore {
	all := slices.Collect(maps.Values(of))
	slices.SortFunc(all, func(a, b *classScore) int {
		worst := cmp.Compare(a.share(), b.share())
		if a.label == 0 {
			worst = -worst
		}
		return cmp.Or(-cmp.Compare(a.label, b.label), worst, cmp.Compare(a.name, b.name))
	})
	return all
}

// Plain judges a trace by plain thresholds, to compare with: over 1,000 W; a step
// of 80 W from a running load in mid-session; drawing for 12 h; over 3.5 kWh.
func Plain(t *Trace) bool {
	var drawn, wh float64
	ran := 0.0 // since when it runs without a rest
	for i := 1; i < len(t.Points); i++ {
		a, b := t.Points[i-1], t.Points[i]
		dt := b[0] - a[0]
		wh += (a[1] + b[1]) / 2 * dt / 3600
		if a[1] < 10 {
			ran = b[0]
		}
		if a[1] > 20 {
			drawn += dt
		}
		if b[1] > 1000 || drawn > 12*3600 || wh > 3500 || b[0]-ran > 600 && a[1] >= 10 && b[1]-a[1] > 80 {
			return true
		}
	}
	return false
}
