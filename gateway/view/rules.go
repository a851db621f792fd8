package view

// RuleName is what people call a rule of the public interface, in Chinese and in English: the same in alerts, on the
// dashboards, in exports and in the guides, so that what one of them says is found in the others. What is concluded, and
// not measured, is called a suspicion (疑似). A rule that is not known is called by its id.
func RuleName(id string) (zh, en string) {
	if n, ok := ruleNames[id]; ok {
		return n[0], n[1]
	}
	return id, id
}

var ruleNames = map[string][2]string{
	"over_power":        {"功率过大", "power over the limit"},
	"second_load":       {"疑似一口多用（插线板）", "second load, perhaps a power strip"},
	"two_tapers":        {"疑似两个充电器同充", "two chargers on one port"},
	"excess_energy":     {"单次充电量过大", "too much energy for one charge"},
	"over_time":         {"充电时间过长", "charging for too long"},
	"resistive_load":    {"疑似电热类电器", "a heater rather than a charger"},
	"hot_burst":         {"疑似大功率电器（水壶等）", "a strong appliance such as a kettle"},
	"cycling_load":      {"疑似间歇运行的电器（冰箱等）", "an appliance that cycles, such as a fridge"},
	"profile_mismatch":  {"与平时的车不像", "not the usual bike"},
	"card_concurrency":  {"同时使用的插口多于登记车辆", "more ports at once than bikes"},
	"household_volume":  {"用电量超过登记车辆所需", "more energy than the bikes need"},
	"silent_bike":       {"登记车辆久未来充电", "a registered bike stopped coming"},
	"back_to_back":      {"连续多次充电", "one charge after another"},
	"overstay":          {"充满后久占插口", "plugged in long after full"},
	"port_temperature":  {"插口过热", "hot port"},
	"zombie_bike":       {"登记车辆久未使用", "a registered bike nobody uses"},
	"unauthorised_draw": {"未刷卡用电", "power without a session"},
	"meter_imbalance":   {"总表与分口电量不符", "main meter and ports differ"},
	"device_alarm":      {"设备报警", "alarm of the device"},
	"pile_offline":      {"充电桩失去联系", "pile off line"},
}
