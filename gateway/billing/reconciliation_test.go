package billing

import (
	"strings"
	"testing"
	"time"

	"pilewatch/devices"
	"pilewatch/gateway/ledger"
	"pilewatch/gateway/session"
)

// TestAReconciliationComparesPortsMainMetersAndTheGridsBill: to the mWh and the fen.
func TestAReconciliationComparesPortsMainMetersAndTheGridsBill(t *testing.T) {
	e := newEstate(t)
	e.config.GridBills = []GridBill{{Month: "2026-11", EnergyMWh: 4_000_000, Amount: 2_500_000}, {Month: "2026-11", Building: "1", EnergyMWh: 1_500_000}}
	settings := session.DefaultSettings()
	settings.Piles = map[string]session.Pile{"P01": {Building: "1", Ports: 2}, "P02": {Building: "1", Ports: 2}, "P03": {Building: "3", Ports: 2}}
	b := ledger.Batch{Entries: []ledger.Entry{{Kind: ledger.KindSettings, Received: e.at("2026-11-01 00:00:00"), Settings: &settings}}}
	for i, at := range []string{"2026-11-10 10:00:00", "2026-11-10 11:00:00"} {
		m, n := e.at(at), int64(i)
		for pile, counted := range map[string][2]int64{"P01": {800_000, 850_000}, "P02": {300_000, 310_000}, "P03": {500_000, 450_000}} { // ports, main meter
			b.Entries = append(b.Entries,
				ledger.Entry{Kind: ledger.KindStatus, Received: m, Status: &devices.Status{Pile: pile, Time: m, MainMWh: 7 + n*counted[1], Has: devices.HasEnergy, DeviceTime: true}},
				ledger.Entry{Kind: ledger.KindReading, Received: m, Reading: devices.Reading{Pile: pile, Port: 1, Time: m, DeviceTime: true, EnergyMWh: 9 + n*counted[0], Has: devices.HasEnergy}})
		}
	}
	if _, err := e.ledger.Append(t.Context(), &b); err != nil {
		t.Fatal(err)
	}
	e.add(e.charge("1-603", "04A1B2C3", "P01", 1, "2026-11-10 10:00:00", time.Hour, 790_000), e.charge("3-202", "04A1B2C5", "P03", 1, "2026-11-10 10:00:00", time.Hour, 500_000))
	got := string(e.export(Request{What: "reconciliation", Format: "csv", Span: Span{Month: "2026-11"}}))
	_, rows, _ := strings.Cut(got, "\r\n")
	want := strings.ReplaceAll(`2026-11,充电桩,1,P01,0.790,0.800,0.000007,0.850007,0.850,0.050,5.9,0.010,,,,,,
2026-11,充电桩,1,P02,0.000,0.300,0.000007,0.310007,0.310,0.010,3.2,0.300,,,,,,
2026-11,楼小计,1,,0.790,1.100,,,1.160,0.060,5.2,0.310,1.500,0.340,,0.49,,
2026-11,充电桩,3,P03,0.500,0.500,0.000007,0.450007,0.450,-0.050,-11.1,0.000,,,,,,总表电量小于端口电量，请核对总表
2026-11,楼小计,3,,0.500,0.500,,,0.450,-0.050,-11.1,0.000,,,,0.31,,P03: 总表电量小于端口电量，请核对总表
2026-11,小区合计,,,1.290,1.600,,,1.610,0.010,0.6,0.310,4.000,2.390,2.50,0.80,1.70,P03: 总表电量小于端口电量，请核对总表
`, "\n", "\r\n")
	if rows != want {
		t.Errorf("got\n%s\nwant\n%s", rows, want)
	}
}
