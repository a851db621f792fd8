package billing

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/shopspring/decimal"

	"pilewatch/gateway/ledger"
	"pilewatch/gateway/session"
	"pilewatch/gateway/tariff"
)

// Explain prints how a session's bill came about, step by step, as one would show
// it to the resident, and in which periods it was billed. The error is
// ledger.ErrNotFound for a session that there is not.
func (b *Book) Explain(ctx context.Context, id string, english bool, out io.Writer) error {
	s, err := b.ledger.Session(ctx, id)
	if err != nil {
		return fmt.Errorf("%w: take its id from `pilewatch export sessions --format json`", err)
	}
	billed, err := b.ledger.LinesOf(ctx, id)
	if err != nil {
		return err
	}
	e := &explainer{words: words{english}, b: b, ln: b.newLine(&s, b.monthOf(s.End), KindSession)}
	if err := e.frozen(billed); err != nil {
		return err
	}
	e.what()
	e.energy()
	switch {
	case s.Open:
		e.say("这次充电尚未结束，结束后计费。", "The session is still open: it is billed when it ends.")
	case s.Tariff == "":
		e.say("开始时没有有效电价，未计费。此后加入的电价只用于加入后开始的充电。", "No tariff was valid when it started, so it has no fees. One that is added now prices what starts from then on.")
	default:
		e.electricity()
		e.service()
		e.step("合计", "Total")
		e.say("  %s + %s = %s 元", "  %s + %s = %s yuan", yuan(s.ElectricityFen), yuan(s.ServiceFen), yuan(s.TotalFen()))
	}
	e.step("账期", "Period")
	if err := e.periods(&s, billed); err != nil {
		return err
	}
	_, err = io.WriteString(out, e.text.String())
	return err
}

// periods says by which lines the session was billed, and by which it will be.
func (e *explainer) periods(s *session.Session, billed []ledger.PeriodLine) error {
	for i := range billed {
		ln, err := readLine(&billed[i])
		if err != nil {
			return err
		}
		e.billed("已关账 "+ln.Month, "closed "+ln.Month, ln)
	}
	due, err := e.b.due(s, billed)
	if err != nil {
		return err
	}
	for _, ln := range due {
		e.billed("尚未关账 "+ln.Month, "not closed yet: "+ln.Month, ln)
	}
	if len(billed)+len(due) == 0 && !s.Open {
		e.say("  在第一个账期 %s 之前结束，不计费", "  it ended before the first period, %s: it is not billed", e.b.periods[0].Month)
	}
	return nil
}

// billed says what a line bills.
func (e *explainer) billed(chinese, english string, ln *Line) {
	x := &ln.Session
	kind := e.adjusts(ln)
	if kind == "" {
		kind = e.pick("本期：", "of its own period: ")
	}
	household := x.Household
	if household == "" {
		household = e.pick("（卡未登记）", "(the card is in no registry)")
	}
	e.say("  %s，%s户号 %s，%s kWh，电费 %s 元，服务费 %s 元", "  %s, %shousehold %s, %s kWh, electricity %s yuan, service %s yuan",
		e.pick(chinese, english), kind, household, kWh(x.EnergyMWh), yuan(x.ElectricityFen), yuan(x.ServiceFen))
}

// frozen takes the price of the service from a bill, where the tariff was changed or removed since.
func (e *explainer) frozen(billed []ledger.PeriodLine) error {
	for i := range billed {
		ln, err := readLine(&billed[i])
		if err != nil {
			return err
		}
		x, s := &ln.Session, &e.ln.Session
		if e.ln.Service == nil && x.Tariff == s.Tariff && x.ServiceFen == s.ServiceFen {
			e.ln.Service = ln.Service
		}
	}
	return nil
}

type explainer struct {
	words
	b    *Book
	ln   *Line
	n    int
	text strings.Builder
}

func (e *explainer) say(chinese, english string, a ...any) {
	fmt.Fprintf(&e.text, e.pick(chinese, english)+"\n", a...)
}

// step begins one, with its number.
func (e *explainer) step(chinese, english string) {
	e.n++
	fmt.Fprintf(&e.text, "%d. %s\n", e.n, e.pick(chinese, english))
}

func (e *explainer) what() {
	s := &e.ln.Session
	e.say("充电单 %s", "Session %s", s.ID)
	household := s.Household
	if household == "" {
		household = e.pick("（卡未登记）", "(the card is in no registry)")
	}
	e.say("  户号 %s，卡尾号 %s，桩 %s 端口 %s，订单 %s", "  household %s, card ending %s, pile %s port %s, order %s",
		household, dash(e.ln.CardLast4), s.Pile, strconv.Itoa(int(s.Port)), dash(s.Order))
	e.say("  %s 至 %s，%s，停止原因：%s", "  %s to %s, %s, stop reason: %s", clock(s.Start, e.b.Location), clock(s.End, e.b.Location), e.long(s.Duration()), e.of(reasonWords, s.Reason))
	e.say("  峰值功率 %s W，数据质量：%s", "  peak power %s W, data quality: %s", watts(s.PeakMW), e.quality(s.Quality))
	for _, q := range []struct {
		is               session.Quality
		chinese, english string
	}{
		{session.Estimated, "有一段电表读数不可信，按功率×时间估算", "some step's register was not believed: power x time took its place"},
		{session.Late, "充电时桩离线，按桩保存的订单补传", "the pile was offline: its stored order was sent later"},
		{session.Disputed, "桩结算的电量与实测相差超过 2% + 10 Wh，请核对", "the pile settled another energy, by more than 2 % + 10 Wh: check it"},
	} {
		if s.Quality&q.is != 0 {
			e.say("  · %s", "  · %s", e.pick(q.chinese, q.english))
		}
	}
}

// long writes how long something took, in whole seconds.
func (e *explainer) long(d time.Duration) string {
	d = d.Truncate(time.Second)
	if e.english {
		return d.String()
	}
	return fmt.Sprintf("%d小时%d分%d秒", d/time.Hour, d%time.Hour/time.Minute, d%time.Minute/time.Second)
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func (e *explainer) energy() {
	s := &e.ln.Session
	e.step("电量", "Energy")
	switch {
	case s.MeterStartMWh >= 0 && s.MeterEndMWh >= 0:
		if advance := s.MeterEndMWh - s.MeterStartMWh; advance == s.EnergyMWh {
			e.say("  电表读数 %s − %s = %s kWh", "  register %s - %s = %s kWh", kWh(s.MeterEndMWh), kWh(s.MeterStartMWh), kWh(advance))
		} else {
			e.say("  电表读数起 %s，止 %s kWh，其间有跳变或回退", "  register %s at the start, %s kWh at the end; in between it jumped or fell", kWh(s.MeterStartMWh), kWh(s.MeterEndMWh))
			e.say("  可信部分按读数，其余按功率×时间：%s kWh", "  its advance where it is believed, else power x time: %s kWh", kWh(s.EnergyMWh))
		}
	case s.Quality&session.Late != 0 && s.SettledMWh == s.EnergyMWh:
		e.say("  按桩保存的订单：%s kWh，按时间平均分摊", "  the order that the pile stored: %s kWh, spread evenly over its time", kWh(s.EnergyMWh))
		return
	default:
		e.say("  本端口无电表读数，按功率×时间计：%s kWh", "  the port has no register; power x time gives %s kWh", kWh(s.EnergyMWh))
	}
	if s.SettledMWh >= 0 {
		e.say("  桩自己结算：%s kWh", "  settled by the pile itself: %s kWh", kWh(s.SettledMWh))
	}
}

func (e *explainer) electricity() {
	s := &e.ln.Session
	e.step("电费（电价版本 "+s.Tariff+"，按开始时间确定）", "Electricity fee (tariff "+s.Tariff+", fixed at the start)")
	var parts []string
	sum := decimal.Zero
	for _, b := range s.Bands {
		amount := tariff.Amount(b.EnergyMWh, b.Price)
		e.say("  %s：%s kWh × %s 元 = %s 元", "  %s: %s kWh x %s yuan = %s yuan", e.band(b.Name), kWh(b.EnergyMWh), b.Price.String(), amount)
		d, err := decimal.NewFromString(amount)
		if err != nil {
			d = decimal.Zero // Amount gives decimals only
		}
		sum, parts = sum.Add(d), append(parts, amount)
	}
	if len(parts) > 1 {
		e.say("  %s = %s 元", "  %s = %s yuan", strings.Join(parts, " + "), sum.String())
	}
	e.say("  四舍五入到分：%s 元", "  rounded to the fen, half up: %s yuan", yuan(s.ElectricityFen))
}

func (e *explainer) service() {
	s, p := &e.ln.Session, e.ln.Service
	e.step("服务费", "Service fee")
	switch {
	case p == nil:
		e.say("  该版本电价已从配置中改动或删除，计费时得 %s 元", "  the tariff of that name was changed or removed since; it was billed at %s yuan", yuan(s.ServiceFen))
		return
	case p.ByPower:
		peak := decimal.New(s.PeakMW, -3).String() // to the mW, for a tier ends at one
		seconds := strconv.FormatInt(int64(s.Duration()/time.Second), 10)
		if s.PeakMW > p.UpToMW {
			e.say("  峰值功率 %s W 高于最高档 %s W，按最高档计：%s 秒 ÷ 3600 × 每小时 %s 元 = %s 元", "  the peak power, %s W, is over the last tier, %s W, which holds: %s s / 3600 x %s yuan an hour = %s yuan",
				peak, trim(watts(p.UpToMW)), seconds, p.PerHour.String(), hourly(s.Duration(), p.PerHour))
			break
		}
		e.say("  峰值功率 %s W，适用档位 ≤ %s W：%s 秒 ÷ 3600 × 每小时 %s 元 = %s 元", "  peak power %s W, tier up to %s W: %s s / 3600 x %s yuan an hour = %s yuan",
			peak, trim(watts(p.UpToMW)), seconds, p.PerHour.String(), hourly(s.Duration(), p.PerHour))
	default:
		e.say("  %s kWh × %s 元 = %s 元", "  %s kWh x %s yuan = %s yuan", kWh(s.EnergyMWh), p.PerKWh.String(), tariff.Amount(s.EnergyMWh, p.PerKWh))
	}
	e.say("  四舍五入到分：%s 元", "  rounded to the fen, half up: %s yuan", yuan(s.ServiceFen))
}

// hourly is what whole seconds cost at a price an hour, in yuan; dots stand for more
// decimals than are written.
func hourly(d time.Duration, price tariff.Micro) string {
	q, rest := decimal.NewFromInt(int64(d/time.Second)).Mul(decimal.New(int64(price), -6)).QuoRem(decimal.NewFromInt(3600), 6)
	if rest.IsZero() {
		return q.String()
	}
	return q.String() + "…"
}
