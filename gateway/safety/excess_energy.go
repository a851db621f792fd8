package safety

import "fmt"

// excessEnergy sees a session that took more than a battery holds: 3.2 kWh
// (warning) or 5 kWh (critical); or, where the pack of the card's bike is
// registered, 1.3 times what that pack needs.
//
// Why: the largest pack of the table takes 3.0 kWh from empty (domain.md,
// Charger and battery electricity). A socket delivers more than a pack's nominal
// energy: charger and battery lose 14 % (lithium) to 23 % (lead-acid) in that
// table. So a pack of 960 Wh needs up to 960 / efficiency (0.8) = 1,200 Wh, and
// the limit is 1,560 Wh. The pack's limit takes the place of warn_kwh, also
// where it is higher: a registered tricycle is no surprise. critical_kwh stands.
//
// Up to warn_kwh, a curve that one charger explains is told as what it most likely
// is, another bike or battery than the registered one, and no power strip.
//
// How it can be wrong: a household that charges another bike than the registered
// one with the card; cards of several bikes and of couriers are therefore judged by warn_kwh. A
// second pack in the same session. Energy is counted from the readings; what a
// pile delivered in a hole without a register is not.
type excessEnergy struct {
	t                  thresholds
	warn, critical     int64   // mWh
	factor, efficiency float64 // of a registered pack
}

var excessEnergyDefaults = map[string]float64{"warn_kwh": 3.2, "critical_kwh": 5, "pack_factor": 1.3, "efficiency": 0.8}

func newExcessEnergy(t thresholds) detector {
	return &excessEnergy{t, t.mWh("warn_kwh"), t.mWh("critical_kwh"), t["pack_factor"], max(t["efficiency"], 0.01)}
}

func (r *excessEnergy) see(p *port, stands level) level {
	c := p.Charge
	switch {
	case !c.open():
		return none
	case c.EnergyMWh > r.critical:
		return critical
	case c.EnergyMWh > r.limit(c):
		return warning
	case stands > none: // the session has what it has
		return unsure
	}
	return none
}

// limit is the energy over which a session is a surprise.
func (r *excessEnergy) limit(c *charge) int64 {
	if c.PackMWh == 0 {
		return r.warn
	}
	return int64(float64(c.PackMWh) * r.factor / r.efficiency)
}

func (r *excessEnergy) tell(p *port, l level) story {
	c := p.Charge
	limit := r.critical
	if l != critical {
		limit = r.limit(c)
	}
	s := story{suspicion: "power_strip"}
	s.zh = fmt.Sprintf("本次充电用电已超过 %s 度", kWh(limit))
	s.en = fmt.Sprintf("this session has taken more than %s kWh", kWh(limit))
	if c.PackMWh > 0 && l != critical {
		s.zh += "（按登记电池估算的上限）"
		s.en += " (the limit for the registered battery)"
	}
	s.adviceZH, s.adviceEN = adviceFor(s.suspicion)
	if l != critical && c.EnergyMWh <= r.warn && c.Model.plain() {
		s.suspicion = "none"
		s.zh += "，曲线像一台充电器：也许是别的车，或比登记的大的电池"
		s.en += "; the curve is that of one charger: perhaps another bike, or a larger battery than the registered one"
		s.adviceZH, s.adviceEN = severalAdviceZH, severalAdviceEN
	}
	s.numbers = numbers{"energy_wh": watts(c.EnergyMWh), "limit_wh": watts(limit), "pack_wh": watts(c.PackMWh), "thresholds": r.t}
	s.curve = c.Model.Curve.curve()
	return s
}
