/* SPDX-License-Identifier: MIT */
/*
 * A virtual machine of one CPU and 64 KiB which has a device of ours: kvm_vm KIND BDF COUNT.
 *
 * Its program has the device raise an interrupt, waits until its own handler has counted and
 * acknowledged it, and goes on so until COUNT are handled; then it writes to a port, which is the one
 * thing that ends KVM_RUN. So what is handled in there is handled without this process. Another
 * thread polls the vector's eventfd all the while, and tells how often it was woken.
 *
 * KIND: intx, msi (of edu), msix (of an e1000e), or doorbell: edu's MSI, raised by a write to memory that
 * is not there, for which KVM raises an eventfd and VFIO writes edu's register. QEMU's e1000e raises
 * more than it is told to, when its throttling ends.
 *
 * Sources: Documentation/virt/kvm/api.rst; Intel SDM volume 3, 6.11 (gates), 11.4 and 11.8.5 (local
 * APIC); 82093AA (I/O APIC), section 3.2.4; QEMU docs/specs/edu.rst; 82574L, section 10.2.4.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>
#include <vfiocore.h>

#define SECOND INT64_C(1000000000)

/* The machine's memory. */
#define MEMORY 0x10000
#define GDT 0x0000
#define IDT 0x1000
#define CODE 0x2000
#define TABLE 0x3000 /* struct table */
#define STACK 0x8000
#define BAR 0xe0000000u      /* the device's */
#define DOORBELL 0xd0000000u /* nothing is there */

#define VECTOR 0x41 /* of the interrupt, in the machine's IDT */
#define PIN 10      /* of INTx, at the machine's I/O APIC */
#define GSI 24      /* of MSI: the first behind the I/O APIC's pins */
#define APIC 0xfee00000u
#define PORT 0x80

#define EDU_RAISE 0x60
#define EDU_ACK 0x64

/* What the program is told, and what it tells: the assembler text knows the offsets. */
struct table {
	uint32_t handled, wanted;
	uint32_t raise, raise_value; /* a write that raises the interrupt, */
	uint32_t ack, ack_value;     /* and one that ends it */
	uint32_t raised;
};

extern const uint8_t guest_start[], guest_handler[], guest_end[];

/* 32 bits, flat segments, no paging. */
__asm__(".pushsection .rodata\n"
	".code32\n"
	"guest_start:\n"
	"	mov	$0x3000, %esi\n"        /* struct table */
	"	movl	$0x1ff, 0xfee000f0\n"   /* local APIC: on; spurious vector 0xff */
	"	sti\n"
	"next:	mov	(%esi), %eax\n"
	"	cmp	4(%esi), %eax\n"
	"	jae	done\n"
	"	mov	8(%esi), %edi\n"
	"	mov	12(%esi), %edx\n"
	"	incl	24(%esi)\n"
	"	mov	%edx, (%edi)\n"         /* raise */
	"wait:	pause\n"                       /* QEMU 7.2's SVM can interrupt between STI and HLT */
	"	cmp	(%esi), %eax\n"
	"	je	wait\n"
	"	jmp	next\n"
	"done:	out	%al, $0x80\n"
	"	jmp	done\n"
	"guest_handler:\n"
	"	push	%eax\n"
	"	push	%edi\n"
	"	incl	0x3000\n"
	"	mov	0x3010, %edi\n"
	"	mov	0x3014, %eax\n"
	"	mov	%eax, (%edi)\n"         /* the device lowers its line before */
	"	mov	(%edi), %eax\n"
	"	movl	$0, 0xfee000b0\n"       /* the end of the interrupt */
	"	pop	%edi\n"
	"	pop	%eax\n"
	"	iret\n"
	"guest_end:\n"
	".code64\n"
	".popsection\n");

/*
 * QEMU 7.2's e1000e aborts QEMU when MSI-X is off at the end of its throttling, 0.1 ms after an
 * interrupt.
 */
static void settle(void)
{
	usleep(20000);
}

static void fail(const char *what)
{
	char text[600];

	vfc_error_text(text, sizeof(text));
	fprintf(stderr, "%s: %s; latest record: %s\n", what, strerror(errno), text);
	settle();
	exit(1);
}

#define MUST(call)                                  \
	__extension__({                             \
		int64_t result_ = (int64_t)(call);  \
		if (result_ < 0)                    \
			fail(#call);                \
		(int)result_;                       \
	})

#define WANT(condition)                  \
	do {                             \
		if (!(condition))        \
			fail(#condition); \
	} while (0)

struct machine {
	int vm, cpu;
	struct kvm_run *run;
	uint8_t *memory;
	struct table *table;
};

static void add_memory(const struct machine *machine, uint32_t slot, uint64_t at, uint64_t size,
		       volatile void *memory)
{
	struct kvm_userspace_memory_region region = {
		.slot = slot,
		.guest_phys_addr = at,
		.memory_size = size,
		.userspace_addr = (uintptr_t)memory,
	};

	MUST(ioctl(machine->vm, KVM_SET_USER_MEMORY_REGION, &region));
}

static void set_segments(const struct machine *machine)
{
	const struct kvm_segment code = {.limit = UINT32_MAX, .selector = 8, .type = 11, .present = 1,
					 .s = 1, .db = 1, .g = 1};
	struct kvm_segment data = code;
	struct kvm_sregs sregs;

	data.selector = 16;
	data.type = 3;
	MUST(ioctl(machine->cpu, KVM_GET_SREGS, &sregs));
	sregs.cs = code;
	sregs.ds = sregs.es = sregs.ss = sregs.fs = sregs.gs = data;
	sregs.gdt = (struct kvm_dtable){.base = GDT, .limit = 3 * 8 - 1};
	sregs.idt = (struct kvm_dtable){.base = IDT, .limit = 256 * 8 - 1};
	sregs.cr0 |= 1; /* protected mode */
	MUST(ioctl(machine->cpu, KVM_SET_SREGS, &sregs));
}

static void load(struct machine *machine)
{
	const uint64_t flat_code = 0x00cf9b000000ffff, flat_data = 0x00cf93000000ffff;
	struct kvm_regs regs = {.rip = CODE, .rsp = STACK, .rflags = 2};
	uint32_t handler = CODE + (uint32_t)(guest_handler - guest_start);
	uint64_t gate = (handler & 0xffff) | UINT64_C(8) << 16 | UINT64_C(0x8e00) << 32 |
			(uint64_t)(handler >> 16) << 48;

	memcpy(machine->memory + GDT + 8, &flat_code, 8);
	memcpy(machine->memory + GDT + 16, &flat_data, 8);
	memcpy(machine->memory + IDT + VECTOR * 8, &gate, 8);
	memcpy(machine->memory + CODE, guest_start, (size_t)(guest_end - guest_start));
	set_segments(machine);
	MUST(ioctl(machine->cpu, KVM_SET_REGS, &regs));
}

static void make_machine(struct machine *machine)
{
	int kvm = MUST(open("/dev/kvm", O_RDWR | O_CLOEXEC));
	int size = MUST(ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0));

	machine->vm = MUST(ioctl(kvm, KVM_CREATE_VM, 0));
	MUST(ioctl(machine->vm, KVM_CREATE_IRQCHIP, 0));
	machine->cpu = MUST(ioctl(machine->vm, KVM_CREATE_VCPU, 0));
	machine->run = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED, machine->cpu, 0);
	machine->memory = mmap(NULL, MEMORY, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	WANT(machine->run != MAP_FAILED && machine->memory != MAP_FAILED);
	machine->table = (void *)(machine->memory + TABLE);
	add_memory(machine, 0, 0, MEMORY, machine->memory);
	load(machine);
	close(kvm);
}

/* As the guest's operating system would: a level interrupt, to its only CPU. */
static void set_pin(const struct machine *machine)
{
	struct kvm_irqchip chip = {.chip_id = KVM_IRQCHIP_IOAPIC};

	MUST(ioctl(machine->vm, KVM_GET_IRQCHIP, &chip));
	memset(&chip.chip.ioapic.redirtbl[PIN], 0, sizeof(chip.chip.ioapic.redirtbl[PIN]));
	chip.chip.ioapic.redirtbl[PIN].fields.vector = VECTOR;
	chip.chip.ioapic.redirtbl[PIN].fields.trig_mode = 1;
	MUST(ioctl(machine->vm, KVM_SET_IRQCHIP, &chip));
}

/* Returns how often it ended: each time but the last, somebody here had to do something. */
static uint32_t run(const struct machine *machine)
{
	for (uint32_t exits = 1;; exits++) {
		MUST(ioctl(machine->cpu, KVM_RUN, 0));
		if (machine->run->exit_reason == KVM_EXIT_IO && machine->run->io.port == PORT)
			return exits;
		fprintf(stderr, "KVM_RUN ended with %u\n", machine->run->exit_reason);
		exit(1);
	}
}

struct watch {
	int vector, stop;
	uint32_t wakes;
};

static void *watch(void *argument)
{
	struct watch *watched = argument;
	struct pollfd fds[] = {{.fd = watched->stop, .events = POLLIN},
			       {.fd = watched->vector, .events = POLLIN}};

	for (;;) {
		if (poll(fds, 2, -1) < 0)
			continue;
		if (fds[0].revents)
			return NULL;
		watched->wakes++;
	}
}

/* An e1000e's receive interrupt, by MSI-X vector 0. */
static void prepare_e1000e(struct vfc_device *device)
{
	const uint32_t rxq0 = 1u << 20, ctrl_ext = 0x18, iame = 1u << 27, ivar = 0xe4, ims = 0xd0,
		       eiac = 0xdc;

	/* IAME: IMS keeps the bit when the interrupt is raised. */
	MUST(vfc_region_write(device, 0, ctrl_ext, 4, iame));
	MUST(vfc_region_write(device, 0, ivar, 4, 0x8));
	MUST(vfc_region_write(device, 0, eiac, 4, rxq0));
	MUST(vfc_region_write(device, 0, ims, 4, rxq0));
}

static void set_table(struct machine *machine, const char *kind, uint32_t count)
{
	struct table edu = {.wanted = count, .raise = BAR + EDU_RAISE, .raise_value = 1,
			    .ack = BAR + EDU_ACK, .ack_value = 1};
	struct table e1000e = {.wanted = count, .raise = BAR + 0xc8 /* ICS */, .raise_value = 1u << 20,
			       .ack = BAR + 0xc0 /* ICR */, .ack_value = 1u << 20};

	*machine->table = strcmp(kind, "msix") ? edu : e1000e;
	if (!strcmp(kind, "doorbell"))
		machine->table->raise = DOORBELL;
}

static void deliver_there(struct machine *machine, struct vfc_kvm *kvm, struct vfc_irq *irq, bool intx)
{
	/* KVM's first table leads a pin to a PIC, too, which would raise an exception's vector. */
	const struct vfc_kvm_route routes[] = {
		{.gsi = PIN, .kind = VFC_KVM_ROUTE_PIN, .chip = KVM_IRQCHIP_IOAPIC, .pin = PIN},
		{.gsi = GSI, .kind = VFC_KVM_ROUTE_MSI, .address = APIC, .data = VECTOR}};

	MUST(vfc_kvm_set_routes(kvm, routes, 2));
	if (intx)
		set_pin(machine);
	MUST(vfc_kvm_bind(kvm, irq, 0, intx ? PIN : GSI));
	WANT(vfc_kvm_bind(kvm, irq, 0, GSI) == -EBUSY);
	WANT(vfc_irq_wait(irq, 0, 0, NULL) == -EBUSY);
}

static void give_device(struct machine *machine, struct vfc_device *device, struct vfc_kvm *kvm)
{
	struct vfc_region_info bar = {.size = sizeof(bar)};
	volatile void *address;

	MUST(vfc_region_info(device, 0, &bar));
	MUST(vfc_region_map(device, 0, 0, bar.length, &address));
	add_memory(machine, 1, BAR, bar.length, address);
	MUST(vfc_kvm_add(kvm, device));
	WANT(vfc_kvm_add(kvm, device) == -EALREADY);
}

static int add_doorbell(struct vfc_device *device, struct vfc_kvm *kvm)
{
	int fd = MUST(eventfd(0, EFD_CLOEXEC));

	MUST(vfc_region_ioeventfd(device, 0, EDU_RAISE, 4, 1, fd));
	WANT(vfc_region_ioeventfd(device, 0, EDU_RAISE, 4, 1, fd) == -EEXIST);
	MUST(vfc_kvm_ioeventfd_add(kvm, DOORBELL, 4, 1, 0, fd));
	WANT(vfc_kvm_ioeventfd_add(kvm, DOORBELL, 4, 1, 0, fd) == -EEXIST);
	return fd;
}

static void remove_doorbell(struct vfc_device *device, struct vfc_kvm *kvm, int fd)
{
	MUST(vfc_kvm_ioeventfd_remove(kvm, DOORBELL, 4, 1, 0, fd));
	WANT(vfc_kvm_ioeventfd_remove(kvm, DOORBELL, 4, 1, 0, fd) == -ENOENT);
	MUST(vfc_region_ioeventfd(device, 0, EDU_RAISE, 4, 1, -1));
	WANT(vfc_region_ioeventfd(device, 0, EDU_RAISE, 4, 1, -1) == -ENOENT);
	close(fd);
}

/* Before and after, it is ours. */
static void deliver_here(struct machine *machine, struct vfc_device *device, struct vfc_irq *irq)
{
	const struct table *table = machine->table;
	uint64_t count = 0;

	MUST(vfc_region_write(device, 0, table->raise == DOORBELL ? EDU_RAISE : table->raise - BAR, 4,
			      table->raise_value));
	MUST(vfc_irq_wait(irq, 0, 5 * SECOND, &count));
	WANT(count == 1 || table->raise_value != 1); /* an e1000e raises more */
	MUST(vfc_region_write(device, 0, table->ack - BAR, 4, table->ack_value));
	if (vfc_irq_unmask(irq) < 0)
		WANT(vfc_error_last()->code == EOPNOTSUPP);
}

static void run_watched(struct machine *machine, struct vfc_irq *irq)
{
	struct watch watched = {.vector = MUST(vfc_irq_fd(irq, 0)), .stop = MUST(eventfd(0, EFD_CLOEXEC))};
	struct vfc_irq_stats before = {.size = sizeof(before)}, after = before;
	pthread_t thread;
	uint32_t exits;

	MUST(vfc_irq_stats(irq, 0, &before));
	WANT(pthread_create(&thread, NULL, watch, &watched) == 0);
	exits = run(machine);
	MUST(eventfd_write(watched.stop, 1));
	pthread_join(thread, NULL);
	MUST(vfc_irq_stats(irq, 0, &after));
	printf("raised %u handled %u exits %u wakes %u fired %llu\n", machine->table->raised,
	       machine->table->handled, exits, watched.wakes, (unsigned long long)(after.fired - before.fired));
	close(watched.stop);
}

int main(int argc, char **argv)
{
	const char *kind = argc > 1 ? argv[1] : "";
	bool intx = !strcmp(kind, "intx"), msix = !strcmp(kind, "msix");
	uint32_t count = argc > 3 ? (uint32_t)atoi(argv[3]) : 0;
	struct machine machine;
	struct vfc_device *device;
	struct vfc_kvm *kvm;
	struct vfc_irq *irq;
	int doorbell = -1;

	if (!count)
		return fprintf(stderr, "kvm_vm intx|msi|msix|doorbell BDF COUNT\n"), 2;
	make_machine(&machine);
	set_table(&machine, kind, count);
	MUST(vfc_device_open(argv[2], NULL, &device));
	MUST(vfc_device_bus_master(device, true));
	MUST(vfc_irq_open(device, intx ? VFC_IRQ_INTX : msix ? VFC_IRQ_MSIX : VFC_IRQ_MSI, 1, &irq));
	if (msix)
		prepare_e1000e(device);
	MUST(vfc_kvm_open(machine.vm, &kvm));
	give_device(&machine, device, kvm);
	if (!strcmp(kind, "doorbell"))
		doorbell = add_doorbell(device, kvm);
	deliver_here(&machine, device, irq);
	deliver_there(&machine, kvm, irq, intx);
	run_watched(&machine, irq);
	MUST(vfc_kvm_unbind(kvm, irq, 0));
	deliver_here(&machine, device, irq);
	if (doorbell >= 0)
		remove_doorbell(device, kvm, doorbell);
	WANT(vfc_kvm_close(kvm) == -EBUSY); /* it has the device */
	settle();
	MUST(vfc_irq_close(irq));
	MUST(vfc_device_close(device));
	MUST(vfc_kvm_close(kvm));
	return 0;
}
