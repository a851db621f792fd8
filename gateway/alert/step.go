package alert

import (
	"strconv"
	"strings"

	"pilewatch/gateway/alert/channel"
	"pilewatch/gateway/ledger"
)

// The steps of a delivery: raised/<severity>, cleared, repeated/<n>, and
// digest/<daily or weekly>/<day>. What stands before the first slash is the kind.

func raisedStep(severity string) string { return channel.Raised + "/" + severity }

func repeatedStep(n int) string { return channel.Repeated + "/" + strconv.Itoa(n) }

func digestStep(period, day string) string { return channel.Digest + "/" + period + "/" + day }

// kindOf gives the kind of a step, and what it says beside.
func kindOf(step string) (kind, rest string) {
	kind, rest, _ = strings.Cut(step, "/")
	return kind, rest
}

// stepOf gives the delivery of a flag's change; At is when the gateway had it.
func (p *policy) stepOf(e *ledger.Entry) ledger.Delivery {
	d := ledger.Delivery{Channel: p.channel, FlagID: e.Flag.ID, Step: ledger.StepCleared, At: e.Received, State: ledger.DeliveryWaiting}
	if !e.Cleared {
		d.Step = raisedStep(e.Flag.Severity)
	}
	return d
}
