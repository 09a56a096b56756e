/**
 * Only servers of this machine or of its private network are services: a worker is no way out to the internet. A name is
 * judged by each address that it stands for, in the moment in which it is dialled.
 */
import { lookup } from 'node:dns';
import { BlockList, isIP, type LookupFunction } from 'node:net';
import { PosternError } from '../../errors.ts';

const local = new BlockList();
local.addSubnet('127.0.0.0', 8);
local.addSubnet('10.0.0.0', 8);
local.addSubnet('172.16.0.0', 12);
local.addSubnet('192.168.0.0', 16);
local.addSubnet('100.64.0.0', 10);
local.addAddress('::1', 'ipv6');
local.addSubnet('fc00::', 7, 'ipv6');

export function isLocal(address: string): boolean {
  return local.check(address, isIP(address) === 6 ? 'ipv6' : 'ipv4');
}

/** Throws model_invalid for an address that is neither. */
export function checkAddress(host: string): void {
  if (isIP(host) === 0 || isLocal(host)) return;
  throw new PosternError('model_invalid', `url: ${host} is no loopback or private address`);
}

export const lookupLocal: LookupFunction = (name, options, done) => {
  lookup(name, { ...options, all: true }, (error, addresses) => {
    if (error) {
      done(error, '');
      return;
    }
    const able = addresses.filter(({ address }) => isLocal(address));
    if (able.length === 0) done(new Error(`${name} is no loopback or private address`), '');
    else if (options.all) done(null, able);
    else done(null, able[0]!.address, able[0]!.family);
  });
};
