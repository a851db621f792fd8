// Package influx writes the journal to InfluxDB: version 1.8 or later, by the v2
// write API. Measurements, tags and fields are those of 'InfluxDB' in the public
// interface.
//
// [Consumer] is a consumer of gateway/feed, and keeps nothing that the journal
// does not hold. Every point is safe to write twice, because its time is that of
// the reading and never that of the writing. An outage is waited out. A line
// that InfluxDB refuses for good is kept with the reason and passed over, so
// that one bad line does not hold back the others. No card number goes out.
package influx
