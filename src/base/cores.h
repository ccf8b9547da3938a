/* cores.h - the control group's share of the machine, inside base/. */
#ifndef KW_BASE_CORES_H
#define KW_BASE_CORES_H

/* Cores granted by the cpu quota of the groups that groups_file ("/proc/self/cgroup") names, looked
 * up below root ("/sys/fs/cgroup") and rounded up. 0: no quota, or none that can be read. */
int kw_cores_quota(const char *groups_file, const char *root);

#endif
