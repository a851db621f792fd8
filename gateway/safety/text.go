package safety

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"pilewatch/devices"
	"pilewatch/gateway/ledger"
)

// message says in one sentence where, when and what. It names no card, no person
// and no room, and accuses nobody.
func (e *Engine) message(f *ledger.Flag, at place, when devices.Millis, s story) (zh, en string) {
	t := when.Time().In(e.loc)
	zhPlace, enPlace := "小区", "The estate"
	if at.pile == nil && f.Building != "" {
		zhPlace, enPlace = building(f.Building), "Building "+f.Building
	}
	if at.pile != nil {
		zhPlace, enPlace = f.Pile+" 桩", "pile "+f.Pile
		if f.Port != 0 {
			zhPlace += " " + strconv.Itoa(int(f.Port)) + " 号口"
			enPlace += ", port " + strconv.Itoa(int(f.Port))
		}
		if f.Building != "" {
			zhPlace, enPlace = building(f.Building)+" "+zhPlace, "Building "+f.Building+", "+enPlace
		} else {
			enPlace = strings.ToUpper(enPlace[:1]) + enPlace[1:]
		}
	}
	endZH, endEN := ending(levelOf(f.Severity), &s)
	alsoZH, alsoEN := alsoSeen(s.also)
	zh = fmt.Sprintf("%s，%s：%s%s。%s", zhPlace, t.Format("1月2日 15:04"), s.zh, alsoZH, endZH)
	en = fmt.Sprintf("%s, %s: %s%s. %s", enPlace, t.Format("2 Jan 15:04"), s.en, alsoEN, endEN)
	return zh, en
}

// alsoSeen names the other signs of the session.
func alsoSeen(also []sign) (zh, en string) {
	if len(also) == 0 {
		return "", ""
	}
	var zhs, ens []string
	for _, x := range also {
		zhs, ens = append(zhs, x.zh), append(ens, x.en)
	}
	en = ens[len(ens)-1]
	if n := len(ens) - 1; n > 0 {
		en = strings.Join(ens[:n], ", ") + " and " + en
	}
	return "；本次充电另见" + strings.Join(zhs, "、"), "; this session also showed " + en
}

// ending says what is suspected and what to do now, as the severity and the
// advice have it: what is for information asks for no visit, but where the rule is
// for the list of visits.
func ending(l level, s *story) (zh, en string) {
	switch {
	case s.visit && s.suspicion == "home_charging":
		return "可能改在家里充电，已列入走访清单，方便时请上门了解情况并提供帮助。", "It may be charged at home now, and is on the list of visits: when convenient, please visit and offer help."
	case s.visit:
		return "已列入走访清单，方便时上门看看。", "It is on the list of visits: please call when convenient."
	case l == info:
		return "仅供了解，不必专门上门。", "For information: no visit is needed."
	case s.suspicion == "power_strip" && slices.ContainsFunc(s.also, sign.concludes):
		return "合起来看，疑似桩上插座接了插线板，请上门了解情况并提供帮助。", "Taken together, a power strip on a pile socket is suspected: please visit and offer help."
	}
	return suspicionZH(s.suspicion), suspicionEN(s.suspicion)
}

// building gives a building's name as people say it.
func building(id string) string {
	if _, err := strconv.Atoi(id); err == nil {
		return id + "号楼"
	}
	return id
}

func suspicionZH(suspicion string) string {
	switch suspicion {
	case "power_strip":
		return "疑似一个插口带了多个负载（插线板），请上门了解情况并提供帮助。"
	case "appliance":
		return "疑似接入了充电器以外的电器，请上门了解情况并提供帮助。"
	case "oversize_charger":
		return "疑似使用了大功率充电器，请上门了解情况并提供帮助。"
	case "overlong":
		return "疑似充电时间过长，请上门了解情况并提供帮助。"
	case "hardware":
		return "疑似设备或线路问题，请尽快到现场查看。"
	}
	return "请上门了解情况并提供帮助。"
}

func suspicionEN(suspicion string) string {
	switch suspicion {
	case "power_strip":
		return "Several loads on one socket (a power strip) are suspected: please visit and offer help."
	case "appliance":
		return "Something other than a charger is suspected: please visit and offer help."
	case "oversize_charger":
		return "A very large charger is suspected: please visit and offer help."
	case "overlong":
		return "An overlong charge is suspected: please visit and offer help."
	case "hardware":
		return "A fault of the equipment is suspected: please look at it soon."
	}
	return "Please visit and offer help."
}

// adviceFor says what a visitor should look for and offer.
func adviceFor(suspicion string) (zh, en string) {
	switch suspicion {
	case "power_strip":
		return "请看看插口上是否接了插线板或两个以上的充电器，插头和线是否发热；帮助找到空闲插口，一车一口，并了解插口是否不够用。",
			"See whether a power strip or several chargers hang on the socket, and whether plug and cable are warm; help to find a free socket for each bike, and ask whether there are too few."
	case "appliance":
		return "请看看插口上接的是什么，插头和线是否发热；请改用家中插座，并了解是否有用电困难需要帮助。",
			"See what is plugged in, and whether plug and cable are warm; ask to use a socket at home for it, and whether help is needed."
	case "oversize_charger":
		return "请核对充电器铭牌功率和插头温度；若是三轮车或大容量电池，帮助安排合适的充电位置。",
			"Read the rated power on the charger and feel the plug; for a tricycle or a large pack, help to find a suitable place."
	case "overlong":
		return "请看看电池和充电器是否发烫、鼓包，充满后能否自动停；提醒充满拔下，必要时帮助联系检修。",
			"See whether battery or charger is hot or swollen and whether it stops when full; ask to unplug it when full, and help to have it checked."
	case "home_charging":
		return "请了解为什么不来充电：距离、价格、刷卡、电池太重，还是车已不用；帮助解决困难，请勿在家中或楼道充电。",
			"Ask why it stopped coming: distance, price, the card, a heavy battery, or the bike is gone; help with what is hard, and ask not to charge indoors."
	case "hardware":
		return "请先确认现场安全：有烟、有水时不要触碰，在安全处断电；再联系设备维护人员。",
			"Make sure that it is safe first: with smoke or water touch nothing, and switch the power off from a safe place; then call the maintainer."
	}
	return "见面时了解一下情况，看看是否需要帮助。", "Ask how things are when you meet, and whether help is needed."
}

// everyDays says how often something happens, in whole days.
func everyDays(gap devices.Millis) (zh, en string) {
	n := (gap + day/2) / day
	if n <= 1 {
		return "每天", "every day"
	}
	return fmt.Sprintf("每 %d 天", n), fmt.Sprintf("every %d days", n)
}

// whole gives a power in whole watts.
func whole(mW int64) string { return strconv.FormatInt((mW+500)/1000, 10) }

// kWh gives an energy to the hundredth.
func kWh(mWh int64) string { return strconv.FormatFloat(float64(mWh)/1e6, 'f', 2, 64) }

// trim gives a threshold without needless digits.
func trim(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }
