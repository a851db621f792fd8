package ingest

import "github.com/eclipse/paho.mqtt.golang/packets"

// noStore keeps nothing for paho. We publish nothing, and what we have not
// acknowledged the broker has, and sends again: a copy of each message in memory
// until its PUBACK was a twentieth of the CPU.
type noStore struct{}

func (noStore) Open()                             {}
func (noStore) Put(string, packets.ControlPacket) {}
func (noStore) Get(string) packets.ControlPacket  { return nil }
func (noStore) All() []string                     { return nil }
func (noStore) Del(string)                        {}
func (noStore) Close()                            {}
func (noStore) Reset()                            {}
